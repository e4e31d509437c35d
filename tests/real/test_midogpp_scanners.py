"""A scanner left out of MIDOG++ is left out whole, though the published table spells it in two ways."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest

from mitozoo.data.cells import read_cells
from mitozoo.data.folds import SplitRecipe, make_folds
from mitozoo.plugins.registry import load_registry


def slides_of_xr(root):
    """Return the slides that the published table says were scanned by an XR, however it is spelt."""
    with (root / "datasets_xvalidation.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    return {int(row["Slide"]) for row in rows if row["Scanner"].strip().endswith("XR")}


def trained_without_xr(spec, root):
    """Return the slides in training of each fold that leaves an XR out."""
    cells = read_cells(spec, root, mpp=0.25)  # whose own table knows one spelling only, and refuses the other
    domains = {name: cells.table[f"domain_{name}"].to_numpy(dtype=np.str_) for name in cells.domains}
    recipe = SplitRecipe("leave-one-domain-out", 5, 0, "scanner")
    folds = make_folds(cells.labels, cells.groups, np.full(len(cells), ""), domains, recipe)
    slides = cells.table["slide"].str.extract(r"(\d+)", expand=False).astype(int).to_numpy()
    return [set(slides[fold.train].tolist()) for fold in folds if fold.name.endswith(" XR")]


@pytest.mark.shared
def test_no_slide_of_a_left_out_scanner_is_trained_on(shared_data):
    root, spec = shared_data / "annotations", load_registry().dataset("midogpp").spec
    xr = slides_of_xr(root)
    assert len(xr) > 50
    [train] = trained_without_xr(spec, root)
    assert not train & xr
    assert spec.slides is not None
    unmended = dataclasses.replace(spec, slides=dataclasses.replace(spec.slides, mend={}))
    assert any(train & xr for train in trained_without_xr(unmended, root))  # what the check is there to find
