"""Small real files for the tests of the data path: tiled TIFFs, tables and SlideRunner databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mitozoo.plugins.dataset_spec import DatasetSpec
from mitozoo.plugins.formats import CellTable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

LAYOUT = CellTable(
    path="cells.csv", cell_id="{id}", slide="{slide}", file="{slide}", x="x", y="y", label="{label}", case="{case}",
    votes=("a", "b"),
)  # fmt: skip


@pytest.fixture
def make_spec():
    """Return a function that makes a dataset's spec, with any field changed."""

    def make(**changed) -> DatasetSpec:
        fields = {
            "name": "toy", "cells": LAYOUT, "labels": {"MF": "positive", "HN": "hard", "T": "other", "?": "ignored"},
            "positive_class": "mitotic figure", "negative_class": "look-alike", "group": "slide", "mpp": 0.25,
            "license": "CC0-1.0", "reference": "https://example.org", "negatives_origin": "made up",
        }  # fmt: skip
        return DatasetSpec(**(fields | changed))

    return make


@pytest.fixture
def write_tiff():
    """Return a function that writes a tiled pyramidal TIFF that OpenSlide opens."""

    def write(path: Path, levels: list[np.ndarray], mpp: float | tuple[float, float] | None, tile: int = 64) -> Path:
        import tifffile

        options = {"tile": (tile, tile), "photometric": "rgb", "compression": "deflate"}
        if mpp is not None:
            across, down = mpp if isinstance(mpp, tuple) else (mpp, mpp)
            options |= {"resolution": (1e4 / across, 1e4 / down), "resolutionunit": "CENTIMETER"}
        with tifffile.TiffWriter(path) as tiff:
            for number, pixels in enumerate(levels):
                tiff.write(pixels, subfiletype=1 if number else 0, **options)
        return path

    return write
