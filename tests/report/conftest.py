"""The tiny zoo, and runs on it that are made once."""

from __future__ import annotations

from report_runs import runs
from tiny_zoo import loads, own_home, zoo, zoo_site

__all__ = ["loads", "own_home", "runs", "zoo", "zoo_site"]
