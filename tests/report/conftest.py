"""The tiny zoo, and runs on it that are made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tiny_zoo import loads, own_home, zoo, zoo_site

import mitozoo

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["loads", "own_home", "zoo", "zoo_site"]


@pytest.fixture(scope="module")
def runs(zoo, tmp_path_factory) -> dict[str, Path]:
    """Return the folders of three models' runs on one dataset, and of one elsewhere."""
    out = tmp_path_factory.mktemp("runs")
    asked = {"out": out, "seeds": 2, "fractions": (0.5, 1.0)}
    found = {name: mitozoo.evaluate(name, "tiny", **asked).folder for name in ("steady", "shifted", "chance")}
    return found | {"elsewhere": mitozoo.evaluate("steady", "tiny-official", out=out).folder}
