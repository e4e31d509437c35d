"""What could make a dataset's numbers untrue: the cheap part that every evaluation records, and the whole audit."""

from __future__ import annotations

from mitozoo.data.audit.split import PixelHashes, audit_split, require_no_leak

__all__ = ["PixelHashes", "audit_split", "require_no_leak"]
