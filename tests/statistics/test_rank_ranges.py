"""Ranges of ranks from intervals: counted as by hand, and all of them right as often as is claimed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, rankdata, t

from mitozoo.statistics.rank_ranges import joint_intervals, rank_ranges

ends = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8)), min_size=1, max_size=15)


@given(ends)
def test_they_are_those_that_pairs_of_intervals_say(drawn):
    low = np.array([start for start, _ in drawn]) / 20
    high = low + np.array([length for _, length in drawn]) / 20
    best, worst = rank_ranges(low, high)
    for one in range(len(low)):
        assert best[one] == 1 + sum(low[other] > high[one] for other in range(len(low)))
        assert worst[one] == len(low) - sum(high[other] < low[one] for other in range(len(low)))


def test_one_interval_stays_as_it_is():
    low, high = joint_intervals([0.8], [0.7], [0.85], [40])
    assert (low[0], high[0]) == (pytest.approx(0.7), pytest.approx(0.85))


def test_the_log_odds_are_stretched_by_the_ratio_of_quantiles():
    value, low, high, groups = np.array([0.8, 0.6, 0.9]), [0.7, 0.5, 0.85], [0.88, 0.66, 0.97], [11, 60, 400]
    wider_low, wider_high = joint_intervals(value, low, high, groups)
    for n, size in enumerate(groups):
        ratio = t.ppf(1 - 0.05 / 6, size - 1) / t.ppf(0.975, size - 1)

        def odds(share):
            return np.log(share / (1 - share))

        assert odds(wider_low[n]) == pytest.approx(odds(value[n]) + ratio * (odds(low[n]) - odds(value[n])))
        assert odds(wider_high[n]) == pytest.approx(odds(value[n]) + ratio * (odds(high[n]) - odds(value[n])))


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3, st.integers(2, 1000)), min_size=1, max_size=8))
def test_no_interval_becomes_narrower_or_leaves_the_scale(drawn):
    low, value, high = (np.array(part) for part in zip(*(sorted(three[:3]) for three in drawn), strict=True))
    wider_low, wider_high = joint_intervals(value, low, high, [three[3] for three in drawn])
    assert (wider_low >= 0).all()
    assert (wider_high <= 1).all()
    assert (wider_low <= np.maximum(low, 1e-9) + 1e-12).all()
    assert (wider_high >= np.minimum(high, 1 - 1e-9) - 1e-12).all()


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_all_ranges_together_hold_the_true_ranks_in_95_of_100_samples(shared):
    """Ten models with equal errors on the log odds, apart or by the same hard cells."""
    random, error, truth = np.random.default_rng(0), 0.1, np.array([1.0, 1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 1.6, 1.9, 2.0])
    true_rank = len(truth) + 1 - rankdata(truth, "max")
    samples, right, order_right, width = 500, 0, 0, 0.0
    for _ in range(samples):
        common, own = random.normal(size=(1, 1)), random.normal(size=(1, 10))
        drawn = (truth + error * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own))[0]
        value, low, high = (
            1 / (1 + np.exp(-drawn - reach)) for reach in (0, -error * norm.isf(0.025), error * norm.isf(0.025))
        )
        best, worst = rank_ranges(*joint_intervals(value, low, high, np.full(10, 10_000)))
        right += bool(((best <= true_rank) & (true_rank <= worst)).all())
        order_right += bool((rankdata(-drawn, "ordinal") == np.arange(10, 0, -1)).all())
        width += (worst - best).mean() / samples
    assert right >= 0.95 * samples
    assert order_right < 0.9 * samples  # a single order is no such thing
    assert width < 7  # of 9 at most: they say something
