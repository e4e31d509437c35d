"""Paired differences: nothing against itself, honest under the null, and found where there is something."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mitozoo.statistics.comparison import PairedModels, Standing, holm, paired_differences
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
    with pytest.raises(ValueError, match="the same folds"):
        paired_differences([row(one)], [row(other, fold=1)], labels, names, names)
    with pytest.raises(ValueError, match="same cells"):
        paired_differences([row(one)], [row(other[:-1], np.arange(len(other) - 1))], labels, names, names)


def test_holm_steps_down_and_leaves_out_what_is_undefined():
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([]) == []


def many(gains, groups=80, seed=0):
    """Return labels, groups and the rows of one model for each gain."""
    random = np.random.default_rng(seed)
    labels, names, _ = simulated(seed, groups)
    common = labels + random.normal(size=labels.size)
    margins = [common + random.normal(size=labels.size) + gain * labels for gain in gains]
    return labels, names, [[row(1 / (1 + np.exp(-margin)))] for margin in margins]


@pytest.mark.parametrize("groups", [80, 30], ids=["percentiles", "jackknife"])
def test_ranks_are_ranges_of_what_the_corrected_tests_leave_open(groups):
    labels, names, models = many([0, 3.0, 0.05, 3.05], groups)
    paired = PairedModels(models, labels, names, names, replicates=999)
    found = paired.standings("auroc", paired.pairs())
    assert [(each.rank_low, each.rank_high) for each in found] == [(3, 4), (1, 2), (3, 4), (1, 2)]
    assert sum(each.best for each in found) == pytest.approx(1)
    assert found[0].best == found[2].best == 0
    turned = paired.standings("brier", paired.pairs())  # lower is better
    assert (turned[1].rank_high, turned[0].rank_low) == (2, 3)


def test_equal_models_share_every_place():
    labels, names, models = many([0.5])
    paired = PairedModels([models[0]] * 3, labels, names, names, replicates=99)
    assert paired.standings("auroc", paired.pairs()) == [Standing(1, 3, pytest.approx(1 / 3))] * 3


def test_few_independent_slides_are_not_ranked():
    labels, names, models = many([0, 2.0], groups=9)
    paired = PairedModels(models, labels, names, names, replicates=99)
    assert "few independent slides: no ranks" in paired.why_no_ranks("auroc")
    with pytest.raises(ValueError, match="no ranks"):
        paired.standings("auroc", paired.pairs())
    labels = np.where(np.isin(names, np.unique(names)[:4]), labels, 0)
    paired = PairedModels(models, labels, names, names, replicates=99)
    assert paired.difference(0, 1)["auroc"].p is None
    labels, names, models = many([0, 2.0])
    assert "no better end" in PairedModels(models, labels, names, names).why_no_ranks("calibration_slope")


@pytest.mark.slow
def test_all_true_ranks_lie_in_their_ranges_in_95_percent_of_samples():
    right = 0
    for seed in range(60):
        labels, names, models = many([0, 0, 0.3], groups=60, seed=seed)
        paired = PairedModels(models, labels, names, names, replicates=99)
        low, high = np.array([(each.rank_low, each.rank_high) for each in paired.standings("auroc", paired.pairs())]).T
        right += (low[:2] <= 2).all() and (high[:2] == 3).all() and low[2] == 1
    assert right >= 54
