"""AUROC from a table of wins is the AUROC that every other way gives, draw by draw."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mitozoo.statistics import group_wins
from mitozoo.statistics.comparison import PairedModels
from mitozoo.statistics.estimates import ScoredRow
from mitozoo.statistics.group_wins import GroupWins
from mitozoo.statistics.metrics import compute
from mitozoo.statistics.resampling import draw_groups

cells = st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.integers(0, 5)), min_size=1, max_size=80)


@settings(deadline=None)
@given(cells, st.sampled_from([1, 40, 2**22]))
def test_every_draw_is_that_of_the_metrics_and_of_scikit_learn(cells, block):
    scores, labels, names = (np.array(column) for column in zip(*cells, strict=True))
    scores, labels, groups = scores / 12, labels.astype(int), np.unique(names, return_inverse=True)[1]
    draws = draw_groups(groups.max() + 1, 30, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_wins, "_BLOCK", block)
        found = GroupWins(scores, labels, groups).auroc(draws.astype(float))
    expected = compute(scores, labels, slides=groups, threshold=0.5, weights=draws, groups=groups)["auroc"]
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)
    for draw, value in zip(draws[:3], found, strict=False):
        copies = draw[groups]
        if 0 < labels @ copies < copies.sum():
            assert value == pytest.approx(roc_auc_score(labels, scores, sample_weight=copies), abs=1e-12)
        else:
            assert np.isnan(value)


@pytest.mark.parametrize("groups", [90, 20], ids=["percentiles", "jackknife"])
def test_models_compared_by_auroc_alone_differ_as_they_do_by_all_metrics(groups):
    random = np.random.default_rng(groups)
    names = np.repeat([f"case-{number:02}" for number in range(groups)], 6)
    labels = (random.random(len(names)) < 0.4).astype(int)
    fold = np.unique(names, return_inverse=True)[1] % 3
    models = []
    for gain in (0.2, 0.8, 0.3):
        chance = 1 / (1 + np.exp(-gain * labels - random.normal(size=len(labels)))).round(2)
        tested = [(number, seed, np.flatnonzero(fold == number)) for number in range(3) for seed in range(2)]
        models.append([
            ScoredRow(f"{number}-{seed}", cell, (0.9 + 0.1 * seed) * chance[cell], 0.5, number, seed)
            for number, seed, cell in tested
        ])  # fmt: skip
    alone, every = (
        PairedModels(models, labels, names, names, replicates=400, auroc_alone=alone) for alone in (True, False)
    )
    assert alone.method == every.method
    assert [set(means) for means in alone.means] == [{"auroc"}] * 3
    pairs, expected = alone.pairs(), every.pairs()
    assert pairs.keys() == expected.keys()
    for pair, found in pairs.items():
        assert dataclasses.astuple(found["auroc"]) == pytest.approx(dataclasses.astuple(expected[pair]["auroc"]))
    if not alone.why_no_ranks("auroc"):
        assert alone.standings("auroc", pairs) == every.standings("auroc", expected)
