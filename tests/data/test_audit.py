"""The audit counts exactly what brute force counts, and a leak stops the run."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mitozoo.data.audit import audit_split, require_no_leak
from mitozoo.data.audit.split import equal_sets
from mitozoo.data.cells import Cells
from mitozoo.errors import SplitError


@pytest.fixture
def make_cells(make_spec):
    def make(x, y, slides, labels, groups=None):
        table = pd.DataFrame({"cell_id": [f"c{n:05}" for n in range(len(x))], "slide": slides, "x": x, "y": y})
        table["label"] = np.asarray(labels, dtype=np.int8)
        table["group"] = [f"toy/{group}" for group in (slides if groups is None else groups)]
        return Cells(make_spec(), Path(), table.astype({"x": float, "y": float}), "slide")

    return make


POINT = st.tuples(
    st.integers(0, 30), st.integers(0, 30), st.integers(0, 2), st.integers(0, 1), st.integers(1, 12), st.booleans()
)


@given(st.lists(POINT, max_size=25))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_counts_are_those_of_brute_force(make_cells, points):
    x, y, slides, labels, sides, tested = (list(column) for column in zip(*points, strict=True)) if points else [[]] * 6
    cells = make_cells(x, y, [f"s{slide}" for slide in slides], labels)
    rows = np.arange(len(points))
    test = np.array(tested, dtype=bool)
    fold = (rows[~test], rows[test])
    audit = audit_split(cells, [fold], side_px=np.array(sides, dtype=np.int64), pixel_hashes=None)

    overlapping, across, same, opposite = 0, 0, set(), set()
    for i in rows:
        for j in rows:
            if i == j or slides[i] != slides[j]:
                continue
            apart = max(abs(x[i] - x[j]), abs(y[i] - y[j]))
            if i < j and apart < (sides[i] + sides[j]) / 2:
                overlapping += 1
                across += test[i] != test[j]
            if apart < sides[i] / 2:
                (same if labels[i] == labels[j] else opposite).add(i)
    by_slide = {slide: {labels[i] for i in rows if slides[i] == slide} for slide in set(slides)}
    assert audit["overlapping_crops"] == overlapping
    assert audit["folds"][0]["overlapping_crops_across_sides"] == across
    assert audit["crops_with_another_centre_of_same_class"] == len(same)
    assert audit["crops_with_another_centre_of_opposite_class"] == len(opposite)
    assert audit["groups"] == len(by_slide)
    assert audit["single_class_groups"] == sum(len(found) == 1 for found in by_slide.values())
    shared = {slides[i] for i in rows if test[i]} & {slides[i] for i in rows if not test[i]}
    assert audit["folds"][0]["groups_on_both_sides"] == len(shared)
    assert audit["windows_beyond_border"] is None
    assert audit["pixel_duplicates"] is None
    assert json.loads(json.dumps(audit)) == audit


FOLDS = [(np.array([0, 1]), np.array([2, 3])), (np.array([2, 3]), np.array([0, 1]))]


def test_a_split_by_groups_passes(make_cells):
    cells = make_cells([10, 20, 10, 20], [5, 5, 5, 5], ["a", "a", "b", "b"], [1, 0, 1, 0])
    audit = audit_split(
        cells, FOLDS, side_px=50, pixel_hashes=list("wxyz"), beyond_border=np.array([1, 1, 0, 0], dtype=bool)
    )
    require_no_leak(audit)
    assert audit["overlapping_crops"] == 2
    assert audit["crops_with_another_centre_of_opposite_class"] == 4
    assert audit["windows_beyond_border"] == 2
    assert audit["group_level"] == "slide"


def test_a_group_on_both_sides_stops_the_run(make_cells):
    cells = make_cells([10, 900, 10, 900], [5, 5, 5, 5], ["a", "b", "b", "c"], [1, 0, 1, 0])
    with pytest.raises(SplitError, match=r"fold 0 leaks from training to test: 1 slides stand on both sides"):
        require_no_leak(audit_split(cells, FOLDS, side_px=50, pixel_hashes=None))


def test_the_same_tissue_under_two_groups_stops_the_run(make_cells):
    cells = make_cells([10, 20, 30, 900], [5, 5, 5, 5], ["a", "a", "a", "b"], [1, 0, 1, 0], groups=["p", "p", "q", "q"])
    with pytest.raises(SplitError, match=r"fold 0 leaks .*: 2 pairs of crops overlap across the sides"):
        require_no_leak(audit_split(cells, FOLDS, side_px=50, pixel_hashes=None))
    require_no_leak(audit_split(cells, FOLDS, side_px=10, pixel_hashes=None))


def test_equal_pixels_are_listed(make_cells):
    cells = make_cells([0, 100, 200, 300], [5] * 4, ["a", "a", "b", "b"], [1, 0, 1, 1])
    audit = audit_split(cells, FOLDS, side_px=10, pixel_hashes=["same", "own", "twin", "twin"])
    assert audit["pixel_duplicates"] == {"sets": 1, "cells": 2, "first": [["c00002", "c00003"]]}
    assert audit["pixel_duplicates_with_conflicting_labels"]["sets"] == 0
    audit = audit_split(cells, FOLDS, side_px=10, pixel_hashes=["twin", "twin", "twin", "own"])
    assert audit["pixel_duplicates_with_conflicting_labels"] == {
        "sets": 1, "cells": 3, "first": [["c00000", "c00001", "c00002"]],
    }  # fmt: skip
    assert [fold["duplicate_sets_across_sides"] for fold in audit["folds"]] == [1, 1]
    require_no_leak(audit)  # listed, and for the reader to judge


def test_no_more_than_twenty_sets_are_listed(make_cells):
    cells = make_cells(np.arange(50) * 100, [5] * 50, ["a"] * 50, [1, 0] * 25)
    audit = audit_split(cells, [], side_px=10, pixel_hashes=[str(n // 2) for n in range(50)])
    assert audit["pixel_duplicates"]["sets"] == 25
    assert len(audit["pixel_duplicates"]["first"]) == 20


def test_a_set_as_large_as_midogpp_takes_a_moment(make_cells):
    rng = np.random.default_rng(0)
    slides = rng.integers(0, 503, 26_286)
    cells = make_cells(
        rng.integers(0, 7000, 26_286), rng.integers(0, 5000, 26_286), [f"{s:03}" for s in slides], slides % 2
    )
    folds = [(np.flatnonzero(slides % 5 != k), np.flatnonzero(slides % 5 == k)) for k in range(5)]
    start = time.process_time()
    audit = audit_split(cells, folds, side_px=224, pixel_hashes=[str(n) for n in range(26_286)])
    assert time.process_time() - start < 5
    assert audit["groups"] == 503
    require_no_leak(audit)


@given(st.lists(st.integers(0, 5), max_size=20))
def test_equal_pixels_are_found_whatever_their_digests_are(drawn):
    rows_of: dict[int, list[int]] = {}
    for row, value in enumerate(drawn):
        rows_of.setdefault(value, []).append(row)
    expected = [rows for rows in rows_of.values() if len(rows) > 1]
    digests = np.array(drawn, dtype=np.uint8)[:, None] * np.ones(16, dtype=np.uint8)
    for hashes in ([f"digest {value}" for value in drawn], digests.reshape(-1, 16)):
        assert [rows.tolist() for rows in equal_sets(hashes)] == expected
    assert equal_sets(None) == []
