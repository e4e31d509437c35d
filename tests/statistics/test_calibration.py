"""Calibration lines against scikit-learn's regression, and the way back from a class-balanced sampler."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mitozoo.statistics import metrics
from mitozoo.statistics.calibration import calibration_line, undo_sampling_prior


def sigmoid(log_odds):
    return 1 / (1 + np.exp(-log_odds))


def odds(prevalence):
    return prevalence / (1 - prevalence)


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_the_line_is_that_of_an_unpenalised_logistic_regression(slope):
    rng = np.random.default_rng(1)
    log_odds = rng.normal(size=2000)
    labels = (rng.random(2000) < sigmoid(slope * log_odds - 0.4)).astype(int)
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(log_odds[:, None], labels)
    found = calibration_line(sigmoid(log_odds), labels)
    assert found == pytest.approx((reference.coef_[0, 0], reference.intercept_[0]), rel=1e-4)


def test_a_calibrated_scorer_has_slope_1_and_intercept_0():
    rng = np.random.default_rng(2)
    chances = rng.beta(1, 3, size=200_000)
    slope, intercept = calibration_line(chances, rng.random(200_000) < chances)
    assert slope == pytest.approx(1, abs=0.02)
    assert intercept == pytest.approx(0, abs=0.04)


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0]),
        ([0.1, 0.5, 0.5, 0.9], [0, 0, 1, 1]),
        ([0.5, 0.5, 0.5, 0.5], [0, 1, 0, 1]),
        ([0.1, 0.2, 0.3, 0.4], [1, 1, 1, 1]),
    ],
)
def test_no_finite_line_is_undefined(scores, labels):
    assert all(math.isnan(each) for each in calibration_line(scores, labels))


def test_scores_of_0_and_1_are_no_error():
    slope, intercept = calibration_line([0.0, 1.0, 0.0, 1.0, 0.5], [0, 1, 1, 0, 1])
    assert math.isfinite(slope)
    assert math.isfinite(intercept)


def test_a_scorer_trained_1_to_1_and_tested_at_20_percent_is_calibrated_after_the_shift():
    rng = np.random.default_rng(3)
    n = 100_000
    labels = (rng.random(n) < 0.2).astype(int)
    evidence = rng.normal(size=n) + 1.5 * labels  # log likelihood ratio: 1.5 x - 1.125
    trained_1_to_1 = sigmoid(1.5 * evidence - 1.125)  # what a perfect fit on balanced draws says
    shifted = undo_sampling_prior(trained_1_to_1, train_prevalence=0.2, sampled_prevalence=0.5)
    np.testing.assert_allclose(shifted, sigmoid(1.5 * evidence - 1.125 + math.log(odds(0.2))), rtol=1e-10)
    before = metrics.compute(trained_1_to_1, labels, slides=np.zeros(n), threshold=0.5)
    after = metrics.compute(shifted, labels, slides=np.zeros(n), threshold=0.5)
    for name in ("ece", "ece_mass"):
        assert before[name][0] > 0.1
        assert after[name][0] < 0.01
    assert after["log_loss"] < before["log_loss"]
    assert after["auroc"] == pytest.approx(before["auroc"], rel=1e-12)


def test_the_shift_keeps_0_and_1_and_is_nothing_where_nothing_was_sampled():
    scores = np.array([0.0, 0.3, 1.0])
    np.testing.assert_allclose(undo_sampling_prior(scores, 0.3, 0.3), scores)
    assert undo_sampling_prior(scores, 0.1, 0.5)[[0, 2]].tolist() == [0, 1]
    with pytest.raises(ValueError, match="between 0 and 1"):
        undo_sampling_prior(scores, 0.0, 0.5)
