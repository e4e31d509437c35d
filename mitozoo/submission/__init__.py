"""A run as others can take it in: a folder that anyone can check offline, and what such a check can say."""
