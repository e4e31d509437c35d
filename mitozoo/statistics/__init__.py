"""Metrics, intervals and image-blind controls: numbers from scores and labels, never from images."""
