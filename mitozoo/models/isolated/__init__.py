"""Models whose requirements clash with the host's: each runs in an environment of its own, in a worker process."""
