"""Mean ranks over datasets against published tables and scipy's test."""

import math

import numpy as np
import pytest
from scipy import stats

from mitozoo.statistics.friedman import mean_ranks

# Demsar 2006 (J Mach Learn Res 7), table 6: AUC of four decision trees on fourteen datasets.
DEMSAR = np.array([
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
])  # fmt: skip


def test_the_published_example():
    found = mean_ranks(DEMSAR)
    assert found.ranks == pytest.approx((3.143, 2.000, 2.893, 1.964), abs=0.001)
    assert found.critical_difference == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 14)), abs=0.002)  # table 5's q
    assert found.p == pytest.approx(stats.friedmanchisquare(*DEMSAR.T).pvalue)
    assert found.p < 0.05
    assert found.cliques() == [(3, 1, 2, 0)]  # all within 1.25 of each other


def test_lower_is_better_turns_the_ranks_round():
    up, down = mean_ranks(DEMSAR), mean_ranks(DEMSAR, higher_is_better=False)
    assert np.add(up.ranks, down.ranks) == pytest.approx([5] * 4)


def test_models_that_are_told_apart_are_in_no_common_clique():
    rng = np.random.default_rng(0)
    values = np.array([0.9, 0.89, 0.6, 0.3]) + rng.normal(0, 0.02, (30, 4))
    assert mean_ranks(values).cliques() == [tuple(np.argsort(mean_ranks(values).ranks)[:2])]


def test_equal_models_are_one_clique():
    found = mean_ranks(np.full((6, 3), 0.5))
    assert (found.ranks, found.p, found.cliques()) == ((2, 2, 2), 1.0, [(0, 1, 2)])


@pytest.mark.parametrize("shape", [(5, 3), (6, 2), (0, 3)])
def test_too_few_are_refused(shape):
    with pytest.raises(ValueError, match="at least 6 datasets and 3 models"):
        mean_ranks(np.zeros(shape))


def test_gaps_are_refused():
    with pytest.raises(ValueError, match="every model's value"):
        mean_ranks(np.where(np.eye(6, 3), np.nan, 0.5))
