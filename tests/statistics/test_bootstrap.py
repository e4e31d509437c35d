"""Intervals over groups against plain loops of scikit-learn, and the rules for few and unequal groups."""

import dataclasses
import itertools
import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from mitozoo.statistics import metrics, resampling
from mitozoo.statistics.bootstrap import ScoredRow, effective_groups, intervals
from mitozoo.statistics.limits import jackknife_limits, percentile_limits
from mitozoo.statistics.resampling import draw_groups


def make_table(seed, sizes):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = (rng.random(len(groups)) < rng.beta(2, 3, len(sizes))[groups]).astype(int)
    shift = 0.7 * rng.normal(size=len(sizes))
    return labels, groups, 1 / (1 + np.exp(-(rng.normal(size=len(groups)) + labels + shift[groups])))


def one_row(scores, **changes):
    row = {"row_id": "a", "cell": np.arange(len(scores)), "scores": scores, "threshold": 0.5, "fold": 0, "seed": 0}
    return ScoredRow(**(row | changes))


def fold_rows(scores, groups, seed=0, folds=4, key=()):
    rows = []
    for fold in range(folds):
        cell = np.flatnonzero(groups % folds == fold)
        rows.append(ScoredRow(f"{key}/{seed}/{fold}", cell, scores[cell], 0.5, fold=fold, seed=seed, key=key))
    return rows


def assert_close(found, expected):
    for left, right in zip(found, expected, strict=True):
        assert left is right is None or left == pytest.approx(right, rel=1e-9, abs=1e-12)


def auroc_of_draw(labels, groups, scores, copies):
    rows = np.concatenate([np.flatnonzero(groups == group) for group, n in enumerate(copies) for _ in range(n)])
    return sk.roc_auc_score(labels[rows], scores[rows])


@given(st.integers(1, 300), st.integers(1, 50))
def test_equal_groups_are_all_effective(count, size):
    assert effective_groups([size] * count) == pytest.approx(count)


def test_effective_groups_of_the_real_test_slides():
    ccmct_test = [67, 152, 131, 789, 1927, 1449, 1302, 2839, 6830, 5328, 15287]
    assert effective_groups(ccmct_test) == pytest.approx(4.0, abs=0.05)


def test_draws_are_with_replacement_and_the_same_each_time():
    draws = draw_groups(50, 2000, seed=3)
    assert (draws.sum(axis=1) == 50).all()
    np.testing.assert_allclose(draws.mean(axis=0), 1, atol=0.12)
    assert (draws == 0).mean() == pytest.approx((1 - 1 / 50) ** 50, abs=0.01)
    assert (draws == draw_groups(50, 2000, seed=3)).all()
    assert (draws != draw_groups(50, 2000, seed=4)).any()


def test_percentiles_equal_a_loop_that_repeats_the_cells_of_each_drawn_group():
    labels, groups, scores = make_table(1, np.full(60, 8))
    found = intervals([one_row(scores)], labels, groups, groups, replicates=100, seed=5).rows["a"]
    replicates = [auroc_of_draw(labels, groups, scores, copies) for copies in draw_groups(60, 100, 5)]
    estimate = found.metrics["auroc"]
    assert estimate.value == pytest.approx(sk.roc_auc_score(labels, scores))
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx(tuple(np.quantile(replicates, [0.025, 0.975])))
    assert found.basis.method == "percentile"
    assert found.basis.replicates == 100
    assert found.basis.n_groups == 60
    assert found.basis.largest_share == pytest.approx(1 / 60)


def test_one_draw_serves_all_folds_and_the_mean_is_taken_inside_the_replicate():
    labels, groups, scores = make_table(2, np.full(80, 8))
    found = intervals(fold_rows(scores, groups), labels, groups, groups, replicates=60, seed=1)
    replicates = []
    for copies in draw_groups(80, 60, 1):
        folds = [auroc_of_draw(labels, groups, scores, copies * (np.arange(80) % 4 == fold)) for fold in range(4)]
        replicates.append(np.mean(folds))
    mean = found.summaries[()].metrics["auroc"]
    folds = [sk.roc_auc_score(labels[groups % 4 == k], scores[groups % 4 == k]) for k in range(4)]
    assert mean.mean == pytest.approx(np.mean(folds))
    assert (mean.ci_low, mean.ci_high) == pytest.approx(tuple(np.quantile(replicates, [0.025, 0.975])))
    assert (mean.n_seeds, mean.n_folds, mean.sd_training) == (1, 4, None)
    assert found.summaries[()].basis.n_groups == 80
    assert found.rows["()/0/2"].basis.n_groups == 20  # a row rests on the groups of its own test cells
    assert found.rows["()/0/2"].basis.method == "jackknife"


def plain_jackknife(value, left_out):
    logit = np.log(np.array(left_out)) - np.log(1 - np.array(left_out))
    n = len(logit)
    error = math.sqrt((n - 1) / n * ((logit - logit.mean()) ** 2).sum())
    centre = math.log(value / (1 - value))
    ends = [centre + sign * stats.t.ppf(0.975, n - 1) * error for sign in (-1, 1)]
    return tuple(1 / (1 + math.exp(-end)) for end in ends)


def test_the_jackknife_equals_leaving_groups_out_one_by_one():
    labels, groups, scores = make_table(3, [5, 40, 10, 20, 8, 60, 15])
    found = intervals([one_row(scores)], labels, groups, groups).rows["a"]
    left_out = [sk.roc_auc_score(labels[groups != g], scores[groups != g]) for g in range(7)]
    estimate = found.metrics["auroc"]
    expected = plain_jackknife(sk.roc_auc_score(labels, scores), left_out)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx(expected)
    assert found.basis.method == "jackknife"
    assert found.basis.replicates == 7
    assert "few independent slides: no ranks" in found.basis.note
    assert "conditional on the trained models" in found.basis.note


def test_leaving_a_group_out_changes_only_the_fold_that_tests_it():
    labels, groups, scores = make_table(4, np.full(24, 12))
    found = intervals(fold_rows(scores, groups), labels, groups, groups).summaries[()]

    def mean_of_folds(without):
        folds = [(groups % 4 == k) & (groups != without) for k in range(4)]
        return np.mean([sk.roc_auc_score(labels[mine], scores[mine]) for mine in folds])

    expected = plain_jackknife(mean_of_folds(None), [mean_of_folds(g) for g in range(24)])
    estimate = found.metrics["auroc"]
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx(expected)
    assert "no ranks" not in found.basis.note


@pytest.mark.parametrize("n_groups", [12, 60])
def test_five_copies_of_one_prediction_give_the_single_runs_interval(n_groups, monkeypatch):
    labels, groups, scores = make_table(5, np.full(n_groups, 10))
    single = intervals(fold_rows(scores, groups), labels, groups, groups, replicates=50).summaries[()]
    calls = []

    def counted(*args, **named):
        calls.append(1)
        return metrics.compute(*args, **named)

    monkeypatch.setattr(resampling, "compute", counted)
    rows = [row for seed in range(5) for row in fold_rows(scores.copy(), groups, seed)]
    five = intervals(rows, labels, groups, groups, replicates=50).summaries[()]
    assert len(calls) <= 12  # four folds: their values, their draws, their groups left out; not five times as many
    for name, expected in single.metrics.items():
        found = five.metrics[name]
        assert_close((found.mean, found.ci_low, found.ci_high), (expected.mean, expected.ci_low, expected.ci_high))
        assert (found.n_seeds, found.n_folds, found.sd_training) == (5, 4, None)
    assert "no training randomness" in five.basis.note
    assert "no training randomness" not in single.basis.note
    assert five.basis.effective_groups == single.basis.effective_groups == pytest.approx(n_groups)


def test_sd_training_is_the_sd_over_seeds_of_the_mean_over_folds():
    labels, groups, scores = make_table(6, np.full(40, 10))
    rng = np.random.default_rng(0)
    of_seed = [np.clip(scores + 0.1 * rng.normal(size=len(scores)), 0, 1) for _ in range(3)]
    rows = [row for seed, each in enumerate(of_seed) for row in fold_rows(each, groups, seed)]
    found = intervals(rows, labels, groups, groups, replicates=20).summaries[()]
    means = [
        np.mean([sk.roc_auc_score(labels[groups % 4 == k], each[groups % 4 == k]) for k in range(4)])
        for each in of_seed
    ]
    assert found.metrics["auroc"].sd_training == pytest.approx(np.std(means, ddof=1))
    assert found.metrics["auroc"].mean == pytest.approx(np.mean(means))
    partial = intervals(rows[:-1], labels, groups, groups, replicates=20).summaries[()]
    assert partial.metrics["auroc"].sd_training is None
    assert "same folds" in partial.basis.note


def test_each_key_has_its_own_summary_and_its_own_groups():
    labels, groups, scores = make_table(7, np.full(40, 10))
    few = np.flatnonzero(groups < 10)
    rows = [*fold_rows(scores, groups, key=(1.0,)), one_row(scores[few], cell=few, key=(0.1,))]
    found = intervals(rows, labels, groups, groups).summaries
    assert {key: each.basis.n_groups for key, each in found.items()} == {(1.0,): 40, (0.1,): 10}


def test_undefined_replicates_are_counted_and_the_interval_is_over_the_others():
    labels, groups, scores = make_table(8, np.full(60, 6))
    labels[(groups % 2 == 0) & (groups > 8)] = 0
    labels[groups % 2 == 1] = 0  # positives in five groups, all of the first fold
    labels[groups == 1] = 1  # and a single group of the second
    rows = fold_rows(scores, groups, folds=2)
    found = intervals(rows, labels, groups, groups, replicates=200, seed=2)
    draws = draw_groups(60, 200, 2)
    with_positive = np.unique(groups[labels == 1])
    first, second = with_positive[with_positive % 2 == 0], [1]
    undefined = (draws[:, first].sum(axis=1) == 0) | (draws[:, second].sum(axis=1) == 0)
    summary = found.summaries[()]
    assert summary.basis.method == "percentile"
    assert summary.basis.undefined_replicates["auroc"] == undefined.sum() > 0
    assert "brier" not in summary.basis.undefined_replicates
    assert summary.metrics["auroc"].ci_low < summary.metrics["auroc"].mean < summary.metrics["auroc"].ci_high
    assert summary.basis.groups_with_positive == len(with_positive)


def test_no_interval_where_leaving_one_group_out_leaves_nothing_to_rank():
    labels, groups, scores = make_table(9, np.full(20, 10))
    labels[groups % 2 == 1] = 0
    labels[groups == 1] = [0, 1] * 5  # the second fold has its positives in one group
    found = intervals(fold_rows(scores, groups, folds=2), labels, groups, groups).summaries[()]
    assert found.basis.undefined_replicates["auroc"] == 1
    assert found.metrics["auroc"].mean is not None
    assert found.metrics["auroc"].ci_low is None
    assert found.metrics["brier"].ci_low is not None
    assert "undefined without one of the groups" in found.basis.note


def test_fewer_than_five_groups_with_a_positive_give_no_interval_but_a_reason():
    labels, groups, scores = make_table(10, np.full(100, 10))
    labels[groups > 3] = 0
    labels[::10] = np.arange(100) < 4
    found = intervals([one_row(scores)], labels, groups, groups).rows["a"]
    assert found.basis.groups_with_positive == 4
    assert found.basis.method == "none"
    assert "fewer than 5 groups hold a positive cell" in found.basis.note
    assert found.metrics["auroc"].value == pytest.approx(sk.roc_auc_score(labels, scores))
    assert all(each.ci_low is None and each.ci_high is None for each in found.metrics.values())


def test_unequal_groups_take_the_jackknife_however_many_they_are():
    labels, groups, scores = make_table(11, [600, *np.full(100, 5)])
    found = intervals([one_row(scores)], labels, groups, groups).rows["a"].basis
    assert found.method == "jackknife"
    assert found.n_groups == 101
    assert found.effective_groups == pytest.approx(1100**2 / (600**2 + 100 * 25))
    assert found.largest_share == pytest.approx(600 / 1100)


@pytest.mark.parametrize("n_groups", [8, 60])
def test_limits_keep_the_metrics_range_even_for_perfect_and_hopeless_scores(n_groups):
    labels, groups, _ = make_table(12, np.full(n_groups, 10))
    for scores in (labels * 1.0, 1.0 - labels, np.full(len(labels), 0.5)):
        for name, each in intervals([one_row(scores)], labels, groups, groups, replicates=50).rows["a"].metrics.items():
            if each.ci_low is None:
                assert name in metrics.POINT_ONLY
                continue
            low, high = {"unit": (0, 1), "symmetric": (-1, 1), "positive": (0, math.inf)}[metrics.metric_range(name)]
            assert low <= each.ci_low <= each.value <= each.ci_high <= high, name


@pytest.mark.parametrize(("metric_range", "forth", "back"), [
    ("symmetric", lambda m: np.log((1 + m) / (1 - m)), lambda z: (np.exp(z) - 1) / (np.exp(z) + 1)),
    ("positive", np.log, np.exp),
])  # fmt: skip
def test_the_jackknife_of_other_ranges_is_made_on_their_own_scale(metric_range, forth, back):
    left_out = np.array([0.30, 0.35, 0.42, 0.28, 0.33])
    scaled = forth(left_out)
    error = math.sqrt(4 / 5 * ((scaled - scaled.mean()) ** 2).sum())
    expected = back(forth(0.34) + np.array([-1, 1]) * stats.t.ppf(0.975, 4) * error)
    assert jackknife_limits(0.34, left_out, metric_range, cells=1000) == pytest.approx(tuple(expected))


def test_percentiles_leave_undefined_replicates_out_and_hold_the_value():
    replicates = np.append(np.arange(101) / 100, np.nan)
    assert percentile_limits(0.5, replicates) == pytest.approx((0.025, 0.975))
    assert percentile_limits(0.01, replicates) == pytest.approx((0.01, 0.975))


def test_nothing_defined_is_no_interval():
    assert percentile_limits(0.5, np.full(3, np.nan)) == (None, None)
    assert percentile_limits(math.nan, np.array([0.5, 0.4])) == (None, None)
    assert jackknife_limits(0.5, np.array([0.5]), "unit", 10) == (None, None)
    assert jackknife_limits(math.nan, np.array([0.5, 0.4]), "unit", 10) == (None, None)


def test_the_order_of_the_table_the_names_and_untested_cells_change_nothing():
    labels, groups, scores = make_table(13, np.full(60, 8))
    straight = intervals([one_row(scores)], labels, groups, groups, replicates=40)
    names = np.array([f"g{group:03d}" for group in groups])
    order = np.random.default_rng(1).permutation(len(labels))
    more = np.concatenate([np.full(7, "a training group"), names[order]])
    turned = intervals(
        [one_row(scores[order], cell=np.arange(len(order)) + 7)],
        np.concatenate([np.ones(7, int), labels[order]]),
        more,
        more,
        replicates=40,
    )
    assert straight.rows["a"].basis == turned.rows["a"].basis
    for name, each in straight.rows["a"].metrics.items():
        assert_close(dataclasses.astuple(each), dataclasses.astuple(turned.rows["a"].metrics[name]))


def test_slides_inside_larger_groups_and_domains_are_kept_apart():
    labels, slides, scores = make_table(14, np.full(120, 8))
    scanner = np.where(slides % 2, "XR", "CS2")
    found = intervals(
        [one_row(scores)], labels, slides // 2, slides, domains={"scanner": scanner}, replicates=30, seed=4
    ).rows["a"]
    expected = np.mean([sk.roc_auc_score(labels[scanner == s], scores[scanner == s]) for s in ("XR", "CS2")])
    estimate = found.metrics["domain_macro_scanner_auroc"]
    assert estimate.value == pytest.approx(expected)
    assert estimate.ci_low < expected < estimate.ci_high
    assert found.basis.n_groups == 60
    copies = draw_groups(60, 30, 4)[:, slides // 2][:, ::8]  # of each slide
    wins, pairs = np.zeros(120), np.zeros(120)
    for slide in range(120):
        mine = slides == slide
        pairs[slide] = labels[mine].sum() * (1 - labels[mine]).sum()
        if pairs[slide]:
            wins[slide] = sk.roc_auc_score(labels[mine], scores[mine]) * pairs[slide]
    replicates = (copies @ wins) / (copies @ pairs)
    within = found.metrics["within_slide_auroc"]
    assert (within.ci_low, within.ci_high) == pytest.approx(tuple(np.quantile(replicates, [0.025, 0.975])))


def test_the_result_is_plain_json():
    labels, groups, scores = make_table(15, np.full(12, 10))
    found = intervals(fold_rows(scores, groups), labels, groups, groups).summaries[()]
    document = json.loads(json.dumps(dataclasses.asdict(found), allow_nan=False))
    assert set(document["metrics"]) == set(metrics.METRICS)
    assert set(document["metrics"]["auroc"]) == {"mean", "ci_low", "ci_high", "sd_training", "n_seeds", "n_folds"}
    assert document["metrics"]["calibration_slope"]["mean"] is not None
    assert document["metrics"]["calibration_slope"]["ci_low"] is None


def test_rows_that_cannot_be_told_apart_are_refused():
    labels, groups, scores = make_table(16, np.full(12, 10))
    rows = [one_row(scores), one_row(scores, fold=1), one_row(scores, row_id="b")]
    for pair in itertools.combinations(rows, 2):
        if {row.row_id for row in pair} == {"a"} or {row.fold for row in pair} == {0}:
            with pytest.raises(ValueError, match="share their row_id"):
                intervals(pair, labels, groups, groups)
    assert intervals([], labels, groups, groups).rows == {}


def test_a_thousand_replicates_of_many_cells_stay_within_200_megabytes():
    labels, groups, scores = make_table(17, np.full(300, 100))
    tracemalloc.start()
    try:
        intervals([one_row(scores)], labels, groups, groups, replicates=200)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200e6
