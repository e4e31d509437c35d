"""The tiny zoo, and a submission of a run on it."""

from __future__ import annotations

from forged_bundles import bundle, submitted
from tiny_zoo import loads, own_home, zoo, zoo_site

__all__ = ["bundle", "loads", "own_home", "submitted", "zoo", "zoo_site"]
