"""A grid of runs as a graph of small tasks, and whoever executes them."""
