"""A run's scores taken apart."""

from __future__ import annotations

import numpy as np

from mitozoo.data.splits import Fold
from mitozoo.results.breakdown import breakdown
from mitozoo.results.cell_columns import CellColumns
from mitozoo.results.conditions import Conditions
from mitozoo.results.row import DONE, Axes, ResultRow


def taken_apart(kinds, scores, labels):
    groups = np.repeat([f"case-{number}" for number in range(20)], len(labels) // 20)
    cells = CellColumns(labels, groups, groups, {}, kinds, Conditions())
    every = np.arange(len(labels))
    row = ResultRow(Axes(0, 0, 1.0), DONE, test=every, test_scores=scores, threshold=0.5)
    return breakdown(cells, [Fold(0, np.arange(0), every)], [row])


def test_positives_are_told_from_each_kind_of_negative():
    labels, kinds = np.tile([1, 0, 0], 60).astype(np.int8), np.tile(["", "hard", "other"], 60)
    noise = np.random.RandomState(0).uniform(0, 0.2, 180)
    scores = np.select([labels == 1, kinds == "hard"], [0.6, 0.5], 0.2) + noise
    found = {entry["negatives"]: entry for entry in taken_apart(kinds, scores, labels)["by_negatives"]}
    assert found["other"]["metrics"]["auroc"]["mean"] == 1.0
    assert 0.5 < found["hard"]["metrics"]["auroc"]["mean"] < 1
    assert {name: entry["cells"] for name, entry in found.items()} == {"hard": 60, "other": 60}


def test_one_kind_of_negative_needs_no_table():
    labels = np.tile([1, 0], 60).astype(np.int8)
    found = taken_apart(np.where(labels == 1, "", "hard"), np.linspace(0, 1, 120), labels)
    assert found == {"by_domain": [], "by_negatives": [], "perturbed": [], "domain_gap": []}
