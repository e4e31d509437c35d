"""Curves of a run over its test cells: ROC and precision-recall averaged over fits, and calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitozoo.report.gathering import Run

Floats = npt.NDArray[np.float64]
GRID: Floats = np.linspace(0, 1, 101)
BINS = 10


def mean_roc(run: Run) -> Floats:
    """Return (101,) the mean sensitivity over fits at false-positive rates 0, 0.01, ..., 1; each fit interpolated."""
    return _mean(run, roc)


def mean_precision(run: Run) -> Floats:
    """Return (101,) the mean precision over fits at recalls 0, 0.01, ..., 1, at the highest threshold with each."""
    return _mean(run, precision)


def reliability(run: Run) -> list[tuple[float, float, int]]:
    """Return (mean score, share of positives, scores) in at most 10 bins of about equal mass; equal scores together."""
    if not run.fits:
        return []
    scores = np.concatenate([fit.scores for fit in run.fits])
    labels = np.concatenate([run.labels[fit.cell] for fit in run.fits])
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, scores, side="left")
    return [
        (float(scores[bins == each].mean()), float(labels[bins == each].mean()), int((bins == each).sum()))
        for each in np.unique(bins)
    ]


def roc(scores: Floats, labels: npt.NDArray[np.int8]) -> Floats:
    """Return (101,) sensitivity on the grid of false-positive rates; a vertical step counts at its upper end."""
    true, false = _counts(scores, labels)
    rising, rate = np.append(0, true / true[-1]), np.append(0, false / false[-1])
    return np.interp(GRID, rate, rising)  # of equal rates, the last point counts at the rate, the first before it


def precision(scores: Floats, labels: npt.NDArray[np.int8]) -> Floats:
    """Return (101,) precision on the grid of recalls."""
    true, false = _counts(scores, labels)
    place = np.searchsorted(true / true[-1], GRID - 1e-12, side="left")
    found = true > 0
    place = np.maximum(place, int(np.argmax(found)))
    return np.asarray((true / (true + false))[place])


def _mean(run: Run, curve: Callable[[Floats, npt.NDArray[np.int8]], Floats]) -> Floats:
    made = [
        curve(fit.scores, run.labels[fit.cell]) for fit in run.fits if 0 < run.labels[fit.cell].sum() < len(fit.cell)
    ]
    return np.mean(made, axis=0) if made else np.full(len(GRID), np.nan)


def _counts(scores: Floats, labels: npt.NDArray[np.int8]) -> tuple[Floats, Floats]:
    """Return the positives and the negatives called positive at each distinct score, from high to low."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    true = np.cumsum(labels[order], dtype=float)[ends]
    return true, (ends + 1) - true
