"""The tiny zoo, one run on it, and the cells of that run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tiny_zoo import loads, own_home, zoo, zoo_site

import mitozoo
from mitozoo.engine.cells_again import cells_again
from mitozoo.exports.placed import place
from mitozoo.results.tested import read_tested

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.exports.placed import PlacedCells

__all__ = ["loads", "own_home", "zoo", "zoo_site"]


@pytest.fixture(scope="module")
def run(zoo, tmp_path_factory) -> Path:
    """Return the folder of a run with two label fractions and two seeds, whose fits differ at the smaller one."""
    out = tmp_path_factory.mktemp("runs")
    return mitozoo.evaluate("steady", "tiny", out=out, seeds=2, fractions=(0.5, 1.0)).folder


@pytest.fixture(scope="module")
def placed(run) -> PlacedCells:
    """Return its cells, scored by both seeds at half of the labels, with their places."""
    tested = read_tested(run, fraction=0.5)
    return place(tested, cells_again(tested.document, tested.cells["cell_id"].tolist(), None))
