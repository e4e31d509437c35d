"""Folders of released patches: the folder is the class, the name tells the slide or nothing does."""

from __future__ import annotations

import numpy as np
import pytest
from fuzzed_files import FUZZED, valid_or_refused
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mitozoo.data.audit import audit_split
from mitozoo.data.cells import read_cells
from mitozoo.data.describe import describe_dataset
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import plan_patches
from mitozoo.errors import DataError, SpecError
from mitozoo.plugins.formats import PatchFolder

LABELS = {"Atypical": "positive", "Normal": "hard"}
NAMED = PatchFolder(path="patches", name=r"(?P<slide>(?P<case>\w+)-\d+)_\d+\.png")
FILES = ("Atypical/p1-1_1.png", "Atypical/p2-1_1.png", "Normal/p1-1_2.png", "Normal/p1-2_1.png", "Normal/.DS_Store")


@pytest.fixture
def make_patches(make_spec):
    def make(layout=NAMED, **changed):
        return make_spec(**{"cells": layout, "labels": LABELS, "patch_px": 16} | changed)

    return make


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(FILES):
        path = tmp_path / "patches" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), 40 * number, np.uint8)).save(path, format="PNG")
    return tmp_path


def test_slide_and_case_are_told_by_the_name(folder, make_patches):
    cells = read_cells(make_patches(group="case"), folder)
    assert cells.table["cell_id"].tolist() == list(FILES[:4])
    assert cells.table["slide"].tolist() == ["p1-1", "p2-1", "p1-1", "p1-2"]
    assert cells.table["group"].tolist() == ["toy/p1", "toy/p2", "toy/p1", "toy/p1"]
    assert cells.labels.tolist() == [1, 1, 0, 0]
    assert cells.table[["x", "y"]].isna().all(axis=None)


def test_patches_without_a_place_are_planned_read_and_audited(folder, make_patches, tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    cells = read_cells(make_patches(), folder)
    plan = plan_patches(cells, Geometry(None, "reflect"), target_px=16)
    assert [int(plan.read(row)[8, 8, 0]) for row in range(4)] == [0, 40, 80, 120]
    audit = audit_split(cells, [], side_px=plan.side_px, pixel_hashes=None)
    assert audit["overlapping_crops"] == 0  # nothing is known of overlaps, and nothing is claimed


def test_without_a_slide_eval_is_refused_and_describe_is_not(folder, make_patches):
    with pytest.raises(DataError, match=r"its slide is empty"):
        read_cells(make_patches(PatchFolder(path="patches")), folder)
    spec = make_patches(PatchFolder(path="patches"), not_for_eval="its patches do not tell their slide")
    with pytest.raises(DataError, match=r"dataset 'toy' is not evaluated: its patches do not tell") as caught:
        read_cells(spec, folder)
    assert caught.value.hint == "What it holds: mitozoo describe toy --data DIR"
    found = describe_dataset(spec, folder)
    assert (found["classes"]["positive"], found["classes"]["hard"], found["groups"]["total"]) == (2, 2, 0)


def test_what_is_no_patch_is_named(folder, make_patches):
    spec = make_patches()
    (folder / "patches/Normal/odd.png").touch()
    with pytest.raises(DataError, match=r"the name of .*odd.png does not tell its slide"):
        read_cells(spec, folder)
    (folder / "patches/Normal/odd.png").rename(folder / "patches/Normal/notes.txt")
    with pytest.raises(DataError, match=r"notes.txt is no patch"):
        read_cells(spec, folder)
    (folder / "patches/Normal/notes.txt").unlink()
    (folder / "patches/Normal").rename(folder / "patches/normal")
    with pytest.raises(DataError, match=r"patch normal/p1-1_2.png: unknown label 'normal'"):
        read_cells(spec, folder)
    with pytest.raises(DataError, match=r"there is no such folder"):
        read_cells(spec, folder / "patches")
    with pytest.raises(DataError, match=r"has no folders in it"):
        read_cells(make_patches(PatchFolder(path="patches/Atypical")), folder)


def test_a_pattern_names_a_slide():
    with pytest.raises(SpecError, match=r"has no group \(\?P<slide>"):
        PatchFolder(path=".", name=r"\w+")
    with pytest.raises(SpecError, match=r"is not a regular expression"):
        PatchFolder(path=".", name=r"(?P<slide>")


@given(names=st.lists(st.text("ab1-_.pngtx", min_size=1, max_size=12), max_size=6, unique=True))
@FUZZED
def test_any_names_are_valid_or_refused(tmp_path_factory, make_patches, names):
    folder = tmp_path_factory.mktemp("fuzz")
    for label in LABELS:
        (folder / "patches" / label).mkdir(parents=True)
        for name in names:
            if name not in (".", ".."):
                (folder / "patches" / label / name).touch()
    valid_or_refused(make_patches(), folder)
