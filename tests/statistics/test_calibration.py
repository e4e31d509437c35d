"""Calibration lines against scikit-learn's regression, and the way back from a class-balanced sampler."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from mitozoo.statistics import metrics
from mitozoo.statistics.calibration import (
    COLDEST,
    HOTTEST,
    at_temperature,
    calibration_line,
    fit_temperature,
    undo_sampling_prior,
)


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


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_the_one_that_a_search_of_the_log_loss_finds(true_temperature):
    rng = np.random.default_rng(4)
    log_odds = 2 * rng.normal(size=20_000)
    labels = (rng.random(20_000) < sigmoid(log_odds / true_temperature)).astype(int)

    def log_loss(temperature):
        return np.mean(np.logaddexp(0, log_odds / temperature) - labels * log_odds / temperature)

    found = fit_temperature(sigmoid(log_odds), labels)
    searched = minimize_scalar(log_loss, bounds=(0.1, 10), method="bounded", options={"xatol": 1e-9}).x
    assert found == pytest.approx(searched, rel=1e-4)
    assert found == pytest.approx(true_temperature, rel=0.05)


def test_an_overconfident_scorer_is_calibrated_after_the_temperature_of_other_cells():
    rng = np.random.default_rng(5)
    log_odds = rng.normal(size=(2, 50_000))
    labels = (rng.random((2, 50_000)) < sigmoid(log_odds)).astype(int)
    scores = sigmoid(4 * log_odds)  # four times too sure
    temperature = fit_temperature(scores[0], labels[0])
    found = metrics.compute(scores[1], labels[1], slides=np.zeros(50_000), threshold=0.5, temperature=temperature)
    assert found["ece"][0] > 0.1
    assert found["ece_after_temperature"][0] < 0.01
    assert found["ece_mass_after_temperature"][0] < 0.01
    assert found["calibration_slope"][0] == pytest.approx(0.25, abs=0.01)
    assert found["calibration_slope_after_temperature"][0] == pytest.approx(1, abs=0.03)
    assert found["log_loss_after_temperature"][0] < found["log_loss"][0]


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], COLDEST),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], HOTTEST),
        ([0.1, 0.9], [1, 1], 1),
        ([0.5, 0.5], [0, 1], 1),
        ([], [], 1),
    ],
)
def test_where_no_temperature_is_best_it_stays_within_its_limits(scores, labels, expected):
    assert fit_temperature(scores, labels) == expected


def test_a_temperature_of_1_changes_nothing_and_order_is_kept():
    scores = np.array([0.0, 1e-9, 0.2, 0.5, 0.7, 1.0])
    np.testing.assert_allclose(at_temperature(scores, 1.0), scores, atol=1e-15)
    for temperature in (COLDEST, 3.0, HOTTEST):
        assert (np.diff(at_temperature(scores, temperature)) >= 0).all()
        assert at_temperature([0.5], temperature)[0] == 0.5
