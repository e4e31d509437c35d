"""The tiny zoo, for these tests."""

from __future__ import annotations

from tiny_zoo import loads, own_home, zoo, zoo_site

__all__ = ["loads", "own_home", "zoo", "zoo_site"]
