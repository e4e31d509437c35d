"""The metrics against scikit-learn, against repeated cells and against plain counting."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mitozoo.errors import DataError
from mitozoo.statistics import metrics

THRESHOLD = 0.4


def make_cells(seed, n=300, n_slides=12, ties=False):
    rng = np.random.default_rng(seed)
    slides = rng.integers(n_slides, size=n)
    labels = (rng.random(n) < rng.uniform(0.1, 0.9, n_slides)[slides]).astype(int)
    scores = 1 / (1 + np.exp(-(rng.normal(size=n) + labels + 0.5 * rng.normal(size=n_slides)[slides])))
    return np.round(scores, 1) if ties else scores, labels, slides


def equal_width_error(scores, labels, weights):
    rows = np.clip(np.digitize(scores, np.linspace(0, 1, 16)) - 1, 0, 14)
    gaps = [abs(np.sum((weights * (labels - scores))[rows == k])) for k in range(15)]
    return sum(gaps) / weights.sum()


SKLEARN = {
    "auroc": lambda y, s, w: sk.roc_auc_score(y, s, sample_weight=w),
    "average_precision": lambda y, s, w: sk.average_precision_score(y, s, sample_weight=w),
    "balanced_accuracy": lambda y, s, w: sk.balanced_accuracy_score(y, s >= THRESHOLD, sample_weight=w),
    "f1": lambda y, s, w: sk.f1_score(y, s >= THRESHOLD, sample_weight=w),
    "mcc": lambda y, s, w: sk.matthews_corrcoef(y, s >= THRESHOLD, sample_weight=w),
    "sensitivity": lambda y, s, w: sk.recall_score(y, s >= THRESHOLD, sample_weight=w),
    "specificity": lambda y, s, w: sk.recall_score(y, s >= THRESHOLD, sample_weight=w, pos_label=0),
    "accuracy": lambda y, s, w: sk.accuracy_score(y, s >= THRESHOLD, sample_weight=w),
    "balanced_accuracy_at_half": lambda y, s, w: sk.balanced_accuracy_score(y, s >= 0.5, sample_weight=w),
    "f1_at_half": lambda y, s, w: sk.f1_score(y, s >= 0.5, sample_weight=w),
    "mcc_at_half": lambda y, s, w: sk.matthews_corrcoef(y, s >= 0.5, sample_weight=w),
    "sensitivity_at_half": lambda y, s, w: sk.recall_score(y, s >= 0.5, sample_weight=w),
    "specificity_at_half": lambda y, s, w: sk.recall_score(y, s >= 0.5, sample_weight=w, pos_label=0),
    "accuracy_at_half": lambda y, s, w: sk.accuracy_score(y, s >= 0.5, sample_weight=w),
    "brier": lambda y, s, w: sk.brier_score_loss(y, s, sample_weight=w),
    "log_loss": lambda y, s, w: sk.log_loss(y, s, sample_weight=w, labels=[0, 1]),
    "ece": lambda y, s, w: equal_width_error(s, y, w),
}


@pytest.mark.parametrize("name", SKLEARN)
@pytest.mark.parametrize("ties", [False, True])
def test_values_and_replicates_equal_scikit_learn(name, ties):
    scores, labels, slides = make_cells(3, ties=ties)
    scores = np.clip(scores, 1e-3, 1 - 1e-3)
    weights = np.random.default_rng(4).multinomial(300, np.full(300, 1 / 300), size=5)
    replicates = metrics.compute(scores, labels, slides=slides, threshold=THRESHOLD, weights=weights)[name]
    value = metrics.compute(scores, labels, slides=slides, threshold=THRESHOLD)[name]
    expected = [SKLEARN[name](labels, scores, row.astype(float)) for row in weights]
    np.testing.assert_allclose(replicates, expected, rtol=1e-10)
    np.testing.assert_allclose(value, [SKLEARN[name](labels, scores, np.ones(300))], rtol=1e-10)


@pytest.mark.parametrize("ties", [False, True])
def test_within_slide_auroc_is_scikit_learn_slide_by_slide(ties):
    scores, labels, slides = make_cells(5, ties=ties)
    of_slide, pairs = [], []
    for slide in np.unique(slides):
        mine = slides == slide
        positives = labels[mine].sum()
        if 0 < positives < mine.sum():
            of_slide.append(sk.roc_auc_score(labels[mine], scores[mine]))
            pairs.append(positives * (mine.sum() - positives))
    found = metrics.compute(scores, labels, slides=slides, threshold=0.5)
    assert found["within_slide_auroc"][0] == pytest.approx(np.average(of_slide, weights=pairs), rel=1e-12)
    assert found["within_slide_auroc_macro"][0] == pytest.approx(np.mean(of_slide), rel=1e-12)


@pytest.mark.parametrize("level", [90, 95])
@pytest.mark.parametrize("ties", [False, True])
def test_sensitivity_at_specificity_is_the_best_point_of_the_curve(level, ties):
    scores, labels, slides = make_cells(6, ties=ties)
    found = metrics.compute(scores, labels, slides=slides, threshold=0.5)
    false_rate, true_rate, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    at_specificity = true_rate[1 - false_rate >= level / 100 - 1e-12].max()
    at_sensitivity = 1 - false_rate[true_rate >= level / 100 - 1e-12].min()
    assert found[f"sensitivity_at_{level}_specificity"][0] == pytest.approx(at_specificity)
    assert found[f"specificity_at_{level}_sensitivity"][0] == pytest.approx(at_sensitivity)


def test_a_level_that_is_met_exactly_counts_as_met():
    scores = np.linspace(0.9, 0.1, 20)
    labels = np.array([0, 1] + [1, 0] * 9)  # 10 negatives: one above everything else is exactly 90 %
    found = metrics.compute(scores, labels, slides=np.zeros(20), threshold=0.5)
    assert found["sensitivity_at_90_specificity"][0] == pytest.approx(0.2)
    assert found["sensitivity_at_95_specificity"][0] == 0


def test_bins_of_equal_mass_are_equal_slices_of_the_sorted_cells():
    scores, labels, slides = make_cells(7)
    order = np.argsort(-scores)
    slices = np.array_split(order, 15)  # 300 cells: 20 in each
    expected = sum(abs((labels - scores)[rows].sum()) for rows in slices) / 300
    assert metrics.compute(scores, labels, slides=slides, threshold=0.5)["ece_mass"][0] == pytest.approx(expected)


cells = st.integers(2, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 10).map(lambda tenth: tenth / 10), min_size=n, max_size=n),
        st.lists(st.integers(0, 1), min_size=n, max_size=n),
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
    )
)


def assert_same(left, right):
    for name in metrics.REPLICATED:
        np.testing.assert_allclose(left[name], right[name], rtol=1e-9, atol=1e-12, err_msg=name)


@given(cells)
@settings(max_examples=150, deadline=None)
def test_whole_weights_equal_repeating_the_cells(drawn):
    scores, labels, slides, copies = (np.array(each) for each in drawn)
    copies[0] += 1  # at least one cell is left
    weighted = metrics.compute(scores, labels, slides=slides, threshold=0.35, weights=copies[None])
    rows = np.repeat(np.arange(len(scores)), copies)
    repeated = metrics.compute(scores[rows], labels[rows], slides=slides[rows], threshold=0.35)
    assert_same(weighted, repeated)


@given(cells, st.lists(st.integers(0, 3), min_size=2, max_size=2))
@settings(max_examples=150, deadline=None)
def test_a_copy_of_a_group_brings_slides_of_its_own(drawn, copies):
    scores, labels, slides, _ = (np.array(each) for each in drawn)
    groups = slides // 2  # two slides a group
    copies = np.array(copies)
    copies[groups[0]] += 1
    weighted = metrics.compute(scores, labels, slides=slides, threshold=0.35, weights=copies[None], groups=groups)
    rows = [np.flatnonzero(groups == group) for group in (0, 1) for _ in range(copies[group])]
    new_slides = [slides[each] + 10 * number for number, each in enumerate(rows)]
    rows, new_slides = np.concatenate(rows), np.concatenate(new_slides)
    assert_same(weighted, metrics.compute(scores[rows], labels[rows], slides=new_slides, threshold=0.35))


def test_blocks_of_replicates_change_nothing(monkeypatch):
    scores, labels, slides = make_cells(8)
    weights = np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12), size=50)
    whole = metrics.compute(scores, labels, slides=slides, threshold=0.5, weights=weights, groups=slides)
    monkeypatch.setattr(metrics, "_BLOCK", 1)
    single = metrics.compute(scores, labels, slides=slides, threshold=0.5, weights=weights, groups=slides)
    assert_same(whole, single)
    assert set(whole) == set(metrics.REPLICATED)


def test_the_order_of_the_cells_changes_nothing():
    scores, labels, slides = make_cells(9, ties=True)
    rows = np.random.default_rng(2).permutation(len(scores))
    straight = metrics.compute(scores, labels, slides=slides, threshold=0.5)
    assert_same(straight, metrics.compute(scores[rows], labels[rows], slides=slides[rows], threshold=0.5))
    assert list(straight) == list(metrics.METRICS)


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_leaves_what_needs_two_undefined(only):
    scores = np.array([0.1, 0.6, 0.8])
    found = metrics.compute(scores, np.full(3, only), slides=["a", "a", "b"], threshold=0.5)
    defined = {name for name, value in found.items() if not math.isnan(value[0])}
    own = "sensitivity" if only else "specificity"
    errors = {"brier", "log_loss", "ece", "ece_mass"}
    errors |= {f"{name}_after_temperature" for name in errors}
    assert defined == {"accuracy", "accuracy_at_half", own, f"{own}_at_half"} | errors


def test_a_replicate_that_lost_a_class_or_all_cells_is_undefined():
    scores, labels = np.array([0.2, 0.7, 0.6, 0.3]), np.array([0, 1, 0, 1])
    found = metrics.compute(
        scores, labels, slides=range(4), threshold=0.5, weights=[[1, 1, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]]
    )
    assert np.isnan(found["auroc"]).tolist() == [False, True, True, True]
    assert np.isnan(found["f1"]).tolist() == [False, True, True, True]
    assert np.isnan(found["brier"]).tolist() == [False, False, False, True]
    assert np.isnan(found["sensitivity"]).tolist() == [False, True, False, True]


def test_a_constant_scorer_has_average_precision_equal_to_prevalence_and_knows_nothing():
    _, labels, slides = make_cells(10)
    found = metrics.compute(np.full(300, 0.3), labels, slides=slides, threshold=0.5)
    assert found["average_precision"][0] == pytest.approx(labels.mean(), rel=1e-12)
    assert found["auroc"][0] == 0.5
    assert found["within_slide_auroc"][0] == 0.5
    assert found["balanced_accuracy"][0] == 0.5
    assert found["mcc"][0] == 0
    assert found["sensitivity_at_90_specificity"][0] == 0


@pytest.mark.parametrize("prevalence", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_at_a_prevalence_equals_reweighting_each_negative(prevalence, ties):
    scores, labels, _ = make_cells(11, ties=ties)
    positives = labels.sum()
    of_negative = (1 - prevalence) / prevalence * positives / (len(labels) - positives)
    expected = sk.average_precision_score(labels, scores, sample_weight=np.where(labels == 1, 1, of_negative))
    found = metrics.average_precision_at_prevalence(scores, labels, prevalence)
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("ties", [False, True])
def test_the_average_precision_of_the_other_class_is_that_of_scikit_learn(ties):
    scores, labels, slides = make_cells(5, ties=ties)
    found = metrics.compute(scores, labels, slides=slides, threshold=0.5)[metrics.OF_NEGATIVES][0]
    assert found == pytest.approx(sk.average_precision_score(1 - labels, 1 - np.asarray(scores)), abs=1e-12)
    assert metrics.metric_direction(metrics.OF_NEGATIVES) == "higher"


def test_average_precision_at_the_empirical_prevalence_is_the_unadjusted_one():
    scores, labels, slides = make_cells(12)
    plain = metrics.compute(scores, labels, slides=slides, threshold=0.5)["average_precision"][0]
    assert metrics.average_precision_at_prevalence(scores, labels, labels.mean()) == pytest.approx(plain, rel=1e-12)
    assert math.isnan(metrics.average_precision_at_prevalence([0.1, 0.2], [1, 1], 0.5))
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.average_precision_at_prevalence(scores, labels, 1.0)


@pytest.mark.parametrize("ties", [False, True])
def test_each_replicate_has_its_average_precision_at_the_stated_prevalences(ties):
    scores, labels, slides = make_cells(16, ties=ties)
    copies = np.random.default_rng(5).multinomial(12, np.full(12, 1 / 12), size=4)
    found = metrics.compute(scores, labels, slides=slides, threshold=0.5, weights=copies, groups=slides)
    plain = metrics.compute(scores, labels, slides=slides, threshold=0.5)
    for prevalence in metrics.PREVALENCES:
        name = f"ap@{prevalence:.2f}"
        at = metrics.average_precision_at_prevalence(scores, labels, prevalence)
        assert plain[name][0] == pytest.approx(at, rel=1e-12)
        for value, row in zip(found[name], copies, strict=True):
            rows = np.repeat(np.arange(300), row[slides])
            negatives = (labels[rows] == 0).sum()
            of_negative = (1 - prevalence) / prevalence * labels[rows].sum() / negatives
            weights = np.where(labels[rows] == 1, 1, of_negative)
            expected = sk.average_precision_score(labels[rows], scores[rows], sample_weight=weights)
            assert value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("ties", [False, True])
def test_errors_after_a_temperature_are_those_of_the_tempered_scores(ties):
    scores, labels, slides = make_cells(17, ties=ties)
    copies = np.random.default_rng(6).multinomial(12, np.full(12, 1 / 12), size=4)
    for weights in (None, copies):
        groups = None if weights is None else slides
        both = metrics.compute(
            scores, labels, slides=slides, threshold=0.5, temperature=2.5, weights=weights, groups=groups
        )
        cold = metrics.compute(scores, labels, slides=slides, threshold=0.5, weights=weights, groups=groups)
        odds = scores.clip(1e-15, 1 - 1e-15) / (1 - scores.clip(1e-15, 1 - 1e-15))
        tempered = odds**0.4 / (1 + odds**0.4)
        hot = metrics.compute(tempered, labels, slides=slides, threshold=0.5, weights=weights, groups=groups)
        names = ["brier", "log_loss", "ece", "ece_mass"] + ["calibration_slope"] * (weights is None)
        for name in names:
            np.testing.assert_allclose(both[f"{name}_after_temperature"], hot[name], rtol=1e-6, err_msg=name)
            np.testing.assert_array_equal(cold[f"{name}_after_temperature"], cold[name])
        unchanged = {name for name in both if not name.endswith("_after_temperature")}
        for name in unchanged:
            np.testing.assert_array_equal(both[name], cold[name], err_msg=name)


def test_domain_macro_auroc_is_the_mean_over_values_with_both_classes():
    scores, labels, slides = make_cells(13)
    scanners = np.where(slides < 4, "XR", np.where(slides < 8, "S360", "CS2"))
    labels[scanners == "CS2"] = 0  # one class only: no AUROC there
    expected = np.mean(
        [sk.roc_auc_score(labels[scanners == each], scores[scanners == each]) for each in ("XR", "S360")]
    )
    assert metrics.domain_macro_auroc(scores, labels, scanners) == pytest.approx(expected, rel=1e-12)
    everything = metrics.compute(scores, labels, slides=slides, threshold=0.5, domains={"scanner": scanners})
    assert everything["domain_macro_scanner_auroc"][0] == pytest.approx(expected, rel=1e-12)
    assert math.isnan(metrics.domain_macro_auroc(scores, np.zeros(300), scanners))


def test_domain_macro_auroc_of_a_replicate_equals_repeating_the_cells():
    scores, labels, slides = make_cells(14, ties=True)
    domain = slides % 3
    copies = np.random.default_rng(3).multinomial(12, np.full(12, 1 / 12), size=4)
    found = metrics.compute(
        scores, labels, slides=slides, threshold=0.5, weights=copies, groups=slides, domains={"lab": domain}
    )["domain_macro_lab_auroc"]
    for value, row in zip(found, copies, strict=True):
        rows = np.repeat(np.arange(300), row[slides])
        assert value == pytest.approx(metrics.domain_macro_auroc(scores[rows], labels[rows], domain[rows]))
    lost = (np.arange(12) % 3 != 1).astype(int)[None]
    found = metrics.compute(
        scores, labels, slides=slides, threshold=0.5, weights=lost, groups=slides, domains={"lab": domain}
    )
    assert math.isnan(found["domain_macro_lab_auroc"][0])
    assert not math.isnan(found["auroc"][0])


def plain_best_threshold(scores, labels):
    distinct = sorted(set(scores))
    if len(distinct) < 2 or len(set(labels)) < 2:
        return 0.5
    cuts = [low + (high - low) / 2 for low, high in itertools.pairwise(distinct)]
    merits = [round(sk.balanced_accuracy_score(labels, np.array(scores) >= cut), 12) for cut in cuts]
    best = [cut for cut, merit in zip(cuts, merits, strict=True) if merit == max(merits)]
    return min(best, key=lambda cut: (abs(best.index(cut) - (len(best) - 1) / 2), cut))


@given(cells)
@settings(max_examples=100, deadline=None)
def test_best_threshold_is_the_one_found_by_trying_all(drawn):
    scores, labels, _, _ = drawn
    assert metrics.best_threshold(scores, labels) == pytest.approx(plain_best_threshold(scores, labels))


def test_best_threshold_in_the_plain_cases():
    assert metrics.best_threshold([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]) == 0.5
    assert metrics.best_threshold([0.2, 0.4, 0.6, 0.8], [0, 1, 0, 1]) == pytest.approx(0.3)  # 0.3 and 0.7 equally good
    assert metrics.best_threshold([0.7, 0.7, 0.7], [0, 1, 1]) == 0.5
    assert metrics.best_threshold([0.1, 0.7], [1, 1]) == 0.5
    low = 0.3
    high = np.nextafter(low, 1)
    assert metrics.best_threshold([low, high], [0, 1]) == high


@pytest.mark.parametrize("scores", [[0.1, np.nan], [0.1, 1.5], [-0.1, 0.5], [0.1, np.inf]])
def test_scores_that_are_no_probabilities_are_refused(scores):
    with pytest.raises(DataError, match="1 of 2 scores"):
        metrics.compute(scores, [0, 1], slides=[0, 0], threshold=0.5)


def test_other_bad_input_is_refused():
    with pytest.raises(DataError, match="labels"):
        metrics.compute([0.1, 0.2], [0, 2], slides=[0, 0], threshold=0.5)
    with pytest.raises(DataError, match="no test cells"):
        metrics.compute([], [], slides=[], threshold=0.5)
    with pytest.raises(ValueError, match="one score and one label"):
        metrics.compute([0.1], [0, 1], slides=[0, 0], threshold=0.5)
    for groups in ([0, 2], [-1, 0], [0]):
        with pytest.raises(ValueError, match="one column of the weights"):
            metrics.compute([0.1, 0.2], [0, 1], slides=[0, 1], threshold=0.5, weights=[[1, 1]], groups=groups)
    with pytest.raises(ValueError, match="one column of the weights"):
        metrics.compute([0.1, 0.2], [0, 1], slides=[0, 1], threshold=0.5, weights=[[1]])
    with pytest.raises(ValueError, match="two groups"):
        metrics.compute([0.1, 0.2], [0, 1], slides=[0, 0], threshold=0.5, weights=[[1, 1]], groups=[0, 1])


def test_every_metric_has_a_range_and_a_direction_that_its_values_keep():
    scores, labels, slides = make_cells(15)
    found = metrics.compute(scores, labels, slides=slides, threshold=0.5)
    limits = {"unit": (0, 1), "symmetric": (-1, 1), "positive": (0, math.inf), "real": (-math.inf, math.inf)}
    perfect = metrics.compute(labels * 0.98 + 0.01, labels, slides=slides, threshold=0.5)
    for name in metrics.METRICS:
        low, high = limits[metrics.metric_range(name)]
        assert low <= found[name][0] <= high
        if metrics.metric_direction(name) == "higher":
            assert perfect[name][0] > found[name][0], name
        elif metrics.metric_direction(name) == "lower":
            assert perfect[name][0] < found[name][0], name
    assert metrics.metric_range("domain_macro_lab_auroc") == "unit"
    assert metrics.metric_direction("domain_macro_lab_auroc") == "higher"
