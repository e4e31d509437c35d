"""Each kind of finding is planted once and found; a sound dataset has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mitozoo.data.audit.crops import look_at
from mitozoo.data.audit.findings import across, pixel_findings, split_findings
from mitozoo.data.audit.picture import NEGATIVE, POSITIVE, contact_sheet
from mitozoo.data.audit.relatives import likeness_findings, lineage_findings
from mitozoo.data.cells import Cells
from mitozoo.plugins.crosswalk import Crosswalk

FOLDS = [(np.array([0, 1, 2]), np.array([3, 4, 5]))]


@pytest.fixture
def make_cells(make_spec):
    def make(x=(0, 100, 200, 0, 100, 200), slides="aaabbb", labels=(1, 0, 0, 1, 0, 1), groups=None, spec=None):
        table = pd.DataFrame({"cell_id": [f"c{n}" for n in range(len(x))], "slide": list(slides), "x": x, "y": 5.0})
        table["label"] = np.asarray(labels, dtype=np.int8)
        table["group"] = [f"toy/{group}" for group in (groups or slides)]
        return Cells(spec or make_spec(), Path(), table.astype({"x": float}), "slide")

    return make


def by_kind(findings):
    return {one.kind: one for one in findings}


def pictures(n: int) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    coarse = [Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(n)]
    return [np.asarray(one.resize((64, 64), Image.Resampling.BICUBIC)) for one in coarse]


def seen(pixels, rows=None):
    return look_at(pixels.__getitem__, list(range(len(pixels))) if rows is None else rows)


def test_a_sound_dataset_has_no_findings(make_cells):
    cells = make_cells()
    found = split_findings(cells, FOLDS, np.full(6, 50.0))
    found += pixel_findings(cells, FOLDS, seen(pictures(6)), np.empty((0, 2), dtype=np.int64))
    assert {one.severity for one in found} == {"none"}
    assert {one.count for one in found} == {0}


def test_a_group_on_both_sides(make_cells):
    found = by_kind(split_findings(make_cells(groups="aaabab"), FOLDS, np.zeros(6)))["group leaks"]
    assert (found.count, found.severity, found.examples) == (1, "leak", ((0, 4),))


def test_a_group_that_is_not_known_is_no_group(make_cells):
    cells = make_cells()
    cells.table["group"] = ""
    found = by_kind(split_findings(cells, FOLDS, np.zeros(6)))
    assert (found["group leaks"].count, found["one-class groups"].count) == (0, 0)


def test_overlaps(make_cells):
    cells = make_cells(x=(0, 30, 200, 40, 100, 200), slides="aaaabb", groups="pppqqq")
    found = by_kind(split_findings(cells, FOLDS, np.full(6, 50.0)))
    assert found["overlapping crops"].count == 3
    assert set(found["overlapping crops across the split"].examples) == {(0, 3), (1, 3)}
    assert found["overlapping crops across the split"].severity == "leak"


def test_negatives_that_show_a_positive(make_cells):
    cells = make_cells(x=(0, 20, 200, 0, 100, 200))
    found = by_kind(split_findings(cells, FOLDS, np.full(6, 50.0)))["negative crops that show a positive's centre"]
    assert (found.count, found.severity, found.examples) == (1, "warning", ((1, 0),))


def test_one_class_groups(make_cells):
    found = by_kind(split_findings(make_cells(labels=(0, 0, 0, 1, 1, 0)), FOLDS, np.zeros(6)))["one-class groups"]
    assert (found.count, found.examples) == (1, ((0,),))


def test_equal_and_nearly_equal_pixels(make_cells):
    cells, pixels = make_cells(), pictures(6)
    pixels[3] = pixels[0].copy()  # across the sides, both positive
    pixels[5] = (pixels[1] * 0.8).astype(np.uint8)  # across the sides, with another label
    found = by_kind(pixel_findings(cells, FOLDS, seen(pixels), np.empty((0, 2), dtype=np.int64)))
    assert (found["pixel-identical crops"].count, found["pixel-identical crops"].examples) == (1, ((0, 3),))
    assert found["near-identical crops"].examples == ((1, 5),)
    assert found["duplicates with conflicting labels"].examples == ((1, 5),)
    assert (found["duplicates across the split"].count, found["duplicates across the split"].severity) == (2, "leak")
    quiet = by_kind(pixel_findings(cells, FOLDS, seen(pixels), np.array([[1, 5]])))  # these windows overlap anyway
    assert quiet["near-identical crops"].count == 0


def test_pixels_of_some_cells_only(make_cells):
    pixels = pictures(6)
    pixels[4] = pixels[2].copy()
    found = by_kind(pixel_findings(make_cells(), FOLDS, seen(pixels, [4, 2]), np.empty((0, 2), dtype=np.int64)))
    assert found["pixel-identical crops"].examples == ((2, 4),)


def test_borders(make_cells):
    pixels = [one.copy() for one in pictures(6)]
    pixels[2][:, :9], pixels[4][60:], pixels[5][:1] = 0, 255, 0
    found = by_kind(pixel_findings(make_cells(), FOLDS, seen(pixels), np.empty((0, 2), dtype=np.int64)))
    assert found["borders of one colour"].examples == ((2,), (4,))  # the widest first; one row is no border


def test_sides_of_a_cell_that_is_on_neither():
    pairs = np.array([[0, 3], [0, 6], [6, 3], [0, 1], [3, 0]])
    assert across(pairs, FOLDS, 7).tolist() == [[0, 3], [3, 0]]


def test_two_datasets(make_cells, make_spec):
    old = make_spec(name="old")
    new = make_spec(name="new", derived_from=("old",), crosswalks=(Crosswalk(dataset="old", renumbered=((1, 9, 11),)),))
    ours = make_cells(slides=("11", "11", "12", "12", "20", "20"), spec=new)
    theirs = make_cells(
        x=(3, 100, 50, 0, 9, 9), slides=("1", "1", "3", "3", "9", "9"), labels=(1, 1, 0, 1, 0, 1), spec=old
    )
    found = by_kind(lineage_findings(ours, theirs, [old, new]))
    assert (found["shared cases"].count, found["shared cases"].severity) == (1, "leak")
    assert found["shared cases"].examples == ((0, 6),)
    assert found["cells at one place in shared cases"].examples == ((0, 6), (1, 7))
    assert found["cells at one place with another label"].examples == ((1, 7),)
    silent = by_kind(
        lineage_findings(ours, make_cells(spec=make_spec(name="third", derived_from=("old",))), [old, new])
    )
    assert (silent["shared cases"].count, silent["shared cases"].severity) == (None, "leak")
    stranger = by_kind(lineage_findings(ours, make_cells(spec=make_spec(name="stranger")), [old, new]))
    assert {one.severity for one in stranger.values()} == {"none"}


def test_pixels_of_two_datasets(make_cells):
    pixels = pictures(8)
    theirs = [pixels[6], pixels[2], (pixels[4] * 0.9).astype(np.uint8), pixels[7]]
    found = by_kind(likeness_findings(make_cells(), seen(pixels[:6]), seen(theirs)))
    assert found["pixel-identical crops in both"].examples == ((2, 7),)
    assert found["near-identical crops in both"].examples == ((4, 8),)


def test_the_contact_sheet_frames_by_label(make_cells, tmp_path):
    cells, pixels = make_cells(groups="aaabab"), pictures(6)
    findings = split_findings(cells, FOLDS, np.zeros(6))
    path = tmp_path / "sheet.png"
    names = cells.table["cell_id"].tolist()

    def read(row):
        return None if row == 4 else pixels[row]

    shown = contact_sheet(findings, read, names, cells.labels.tolist(), ("mitosis", "look-alike"), path)
    assert shown == 2  # of the pair (0, 4) the second cannot be seen; 3 stands for a group of one class
    with Image.open(path) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(2**24)}
    assert {POSITIVE, NEGATIVE} <= colours
    everything = contact_sheet(findings, pixels.__getitem__, names, cells.labels.tolist(), ("a", "b"), path)
    assert everything == 3
    assert contact_sheet([], pixels.__getitem__, names, [], ("a", "b"), path) == 0


def test_one_picture_many_times_is_told_once_for_each(make_cells):
    one = pictures(1)[0]
    found = by_kind(pixel_findings(make_cells(), FOLDS, seen([one] * 6), np.empty((0, 2), dtype=np.int64)))
    assert (found["pixel-identical crops"].count, found["near-identical crops"].count) == (1, 0)
    assert found["duplicates across the split"].examples == ((0, 3), (0, 4), (0, 5))
    assert found["duplicates with conflicting labels"].examples == ((0, 1), (0, 2), (0, 4))
