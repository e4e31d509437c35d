"""Runs that reports are made of: tiny models on one dataset and elsewhere, and copies that say other things."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

import mitozoo
from mitozoo.results.run_folder import dump, read_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def runs(zoo, tmp_path_factory) -> dict[str, Path]:
    """Return the folders of three models' runs on one dataset, and of one elsewhere."""
    out = tmp_path_factory.mktemp("runs")
    asked = {"out": out, "seeds": 2, "fractions": (0.5, 1.0)}
    found = {name: mitozoo.evaluate(name, "tiny", **asked).folder for name in ("steady", "shifted", "chance")}
    return found | {"elsewhere": mitozoo.evaluate("steady", "tiny-official", out=out).folder}


def saying(run: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Copy a run to a folder and change its document there; return the folder."""
    shutil.copytree(run, folder)
    document = read_document(folder / "result.json")
    change(document)
    (folder / "result.json").write_text(dump(document), encoding="utf-8")
    return folder
