"""Paired differences: nothing against itself, honest under the null, and found where there is something."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mitozoo.statistics.comparison import paired_differences
from mitozoo.statistics.estimates import ScoredRow


def simulated(seed, groups=80, size=12, gain=0.0):
    """Return labels, groups and two models' scores, which share half their noise; `gain` sets the first ahead."""
    random = np.random.default_rng(seed)
    names = np.repeat([f"case{n:03d}" for n in range(groups)], size)
    labels = (random.random(groups * size) < 0.4).astype(int)
    level = np.repeat(random.normal(0, 0.5, groups), size)
    common = labels + level + random.normal(size=labels.size)
    margins = [common + random.normal(size=labels.size) + extra * labels for extra in (gain, 0.0)]
    return labels, names, [1 / (1 + np.exp(0.5 - margin)) for margin in margins]


def row(scores, cell=None, fold=0):
    cell = np.arange(len(scores)) if cell is None else cell
    return ScoredRow(row_id=f"{id(scores)}-{fold}", cell=cell, scores=scores, threshold=0.5, fold=fold, seed=0)


@pytest.mark.parametrize("groups", [80, 12], ids=["percentiles", "jackknife"])
def test_a_model_against_itself_differs_by_nothing(groups):
    labels, names, (scores, _) = simulated(0, groups)
    found = paired_differences([row(scores)], [row(scores.copy())], labels, names, names, replicates=500)
    assert (found["auroc"].value, found["auroc"].ci_low, found["auroc"].ci_high, found["auroc"].p) == (0, 0, 0, 1)


def test_the_value_is_the_difference_of_the_metrics():
    labels, names, (one, other) = simulated(1, gain=0.5)
    found = paired_differences([row(one)], [row(other)], labels, names, names, replicates=200)["auroc"]
    assert found.value == pytest.approx(roc_auc_score(labels, one) - roc_auc_score(labels, other))
    assert found.ci_low < found.value < found.ci_high


def test_the_order_of_cells_changes_nothing():
    labels, names, (one, other) = simulated(2)
    order = np.random.default_rng(0).permutation(len(labels))
    plain = paired_differences([row(one)], [row(other)], labels, names, names, replicates=300)
    shuffled = paired_differences(
        [row(one[order])], [row(other[order])], labels[order], names[order], names[order], replicates=300
    )
    for name in ("auroc", "balanced_accuracy", "brier"):
        assert dataclasses.astuple(shuffled[name]) == pytest.approx(dataclasses.astuple(plain[name]))


@pytest.mark.parametrize("groups", [80, 30], ids=["percentiles", "jackknife"])
def test_a_real_gain_is_found(groups):
    labels, names, (one, other) = simulated(3, groups, gain=1.0)
    found = paired_differences([row(one)], [row(other)], labels, names, names, replicates=999)["auroc"]
    assert found.ci_low > 0
    assert found.p < 0.05


@pytest.mark.slow
def test_under_the_null_five_percent_are_rejected():
    rejected = 0
    for seed in range(200):
        labels, names, (one, other) = simulated(seed, groups=200, size=4)
        found = paired_differences([row(one)], [row(other)], labels, names, names, replicates=99)
        rejected += found["auroc"].p <= 0.05
    assert 0.03 <= rejected / 200 <= 0.07


def test_other_cells_or_folds_are_refused():
    labels, names, (one, other) = simulated(4)
    with pytest.raises(ValueError, match="same folds"):
        paired_differences([row(one)], [row(other, fold=1)], labels, names, names)
    with pytest.raises(ValueError, match="same cells"):
        paired_differences([row(one)], [row(other[:-1], np.arange(len(other) - 1))], labels, names, names)
