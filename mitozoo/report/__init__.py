"""From finished runs to one self-contained page, its figures and their data."""
