"""Calibration of probabilities: the line of observed on predicted log odds, a temperature, and a sampler's prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from mitozoo.statistics.arrays import Floats


#: Temperatures are sought between these; validation scores that separate the classes would ask for 0.
COLDEST, HOTTEST = 0.05, 20.0


def calibration_line(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """Return slope and intercept of the logistic regression of the label on the log odds of the score.

    Perfect calibration is (1, 0). Scores of exactly 0 or 1 count as one rounding error away from them.
    (nan, nan) where no finite line exists: one class only, equal scores, or scores that separate the classes.
    """
    probabilities, positive = np.asarray(scores, dtype=float), np.asarray(labels, dtype=float)
    log_odds = _log_odds(probabilities)
    low, high = log_odds[positive == 0], log_odds[positive == 1]
    if not len(low) or not len(high) or low.max() <= high.min() or high.max() <= low.min():
        return float("nan"), float("nan")
    from scipy.optimize import minimize
    from scipy.special import expit

    design = np.stack([log_odds, np.ones_like(log_odds)], axis=1)

    def loss(line: Floats) -> float:
        return float(np.mean(np.logaddexp(0, design @ line) - positive * (design @ line)))

    def gradient(line: Floats) -> Floats:
        return (expit(design @ line) - positive) @ design / len(design)

    def hessian(line: Floats) -> Floats:
        chance = expit(design @ line)
        return (design * (chance * (1 - chance))[:, None]).T @ design / len(design)

    found = minimize(loss, np.zeros(2), jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-9})
    return float(found.x[0]), float(found.x[1])


def fit_temperature(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the temperature T for which log odds / T have the least log loss; 1 where a class is missing.

    Fitted on validation cells, it mends probabilities that are too sure (T > 1) or too timid, and keeps their order.
    It lies between `COLDEST` and `HOTTEST`.
    """
    probabilities, positive = np.asarray(scores, dtype=float), np.asarray(labels, dtype=float)
    if not 0 < positive.sum() < len(positive):
        return 1.0
    log_odds = _log_odds(probabilities)
    if not log_odds.any():
        return 1.0
    from scipy.optimize import brentq
    from scipy.special import expit

    def gradient(inverse: float) -> float:  # of the log loss; it rises with the inverse temperature
        return float(((expit(inverse * log_odds) - positive) * log_odds).sum())

    if gradient(1 / HOTTEST) >= 0:
        return HOTTEST
    if gradient(1 / COLDEST) <= 0:
        return COLDEST
    return 1 / float(brentq(gradient, 1 / HOTTEST, 1 / COLDEST, xtol=1e-12, rtol=1e-13))


def at_temperature(scores: ArrayLike, temperature: float) -> Floats:
    """Return the probabilities whose log odds are those of the scores, divided by the temperature."""
    from scipy.special import expit

    return np.asarray(expit(_log_odds(np.asarray(scores, dtype=float)) / temperature))


def undo_sampling_prior(scores: ArrayLike, train_prevalence: float, sampled_prevalence: float) -> Floats:
    """Return probabilities as if training had drawn the positives as often as they occur.

    A model fitted on draws of another prevalence is off by a constant of log odds; this takes it away.

    Args:
        scores: (n,) probabilities of a model trained on sampled cells.
        train_prevalence: share of positives among the training cells, between 0 and 1.
        sampled_prevalence: share of positives among the sampler's draws (0.5 where it balances the classes).
    """
    for prevalence in (train_prevalence, sampled_prevalence):
        if not 0 < prevalence < 1:
            raise ValueError(f"a prevalence lies between 0 and 1, not {prevalence}")
    probabilities = np.asarray(scores, dtype=float)
    ratio = train_prevalence / (1 - train_prevalence) * (1 - sampled_prevalence) / sampled_prevalence
    return probabilities * ratio / (probabilities * ratio + (1 - probabilities))


def _log_odds(probabilities: Floats) -> Floats:
    """Return finite log odds: scores of exactly 0 or 1 count as one rounding error away from them."""
    smallest = np.finfo(np.float64).eps
    clipped = np.clip(probabilities, smallest, 1 - smallest)
    return np.log(clipped) - np.log1p(-clipped)
