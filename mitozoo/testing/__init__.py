"""The public conformance kit: `check_model` and `check_plugin` tell whether a plugin keeps the contract; no pytest."""

from __future__ import annotations

from mitozoo.engine.findings import Finding, Report
from mitozoo.testing.model import check_model
from mitozoo.testing.plugin import check_plugin

__all__ = ["Finding", "Report", "check_model", "check_plugin"]
