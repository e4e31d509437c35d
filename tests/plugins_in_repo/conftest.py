"""The tiny zoo, for the trackers."""

from __future__ import annotations

from tiny_zoo import zoo_site

__all__ = ["zoo_site"]
