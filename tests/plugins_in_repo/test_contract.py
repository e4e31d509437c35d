"""Every plugin of this repository keeps the contract, as far as that shows without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from mitozoo.testing import check_plugin

BRIDGE = "mitozoo-plugin-slide2vec"  # offers nothing where slide2vec is not: test_slide2vec.py checks it with one
FOLDERS = (Path(__file__).parents[2] / "plugins").glob("*/pyproject.toml")
PLUGINS = sorted({file.parent.name for file in FOLDERS} - {BRIDGE})


@pytest.mark.parametrize("module", [name.replace("-", "_") for name in PLUGINS])
def test_contract(module, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("MITOZOO_WEIGHTS", raising=False)
    report = check_plugin(module)
    assert report.passed, str(report)
