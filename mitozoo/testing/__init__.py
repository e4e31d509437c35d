"""The public conformance kit: `check_model`, `check_dataset` and `check_plugin` tell whether the contract is kept."""

from __future__ import annotations

from mitozoo.engine.findings import Finding, Report
from mitozoo.testing.dataset import check_dataset
from mitozoo.testing.model import check_model
from mitozoo.testing.plugin import check_plugin

__all__ = ["Finding", "Report", "check_dataset", "check_model", "check_plugin"]
