"""Metrics of the order of the scores, for many weightings at once: sorted once, then running sums along the cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mitozoo.statistics.arrays import Workspace, count_below, running_sums

if TYPE_CHECKING:
    from mitozoo.statistics.arrays import Codes, Floats

EQUAL_MASS_BINS = 15


class Ranking:
    """The steps of the ranking: the distinct scores of positive cells, falling, and the negative cells above each.

    Args:
        scores: (n,) scores of the positive class.
        positive: (n,) 1.0 for a positive cell, 0.0 for a negative one; both occur.
        units: (n,) which column of the weights belongs to each cell.
    """

    def __init__(self, scores: Floats, positive: Floats, units: Codes) -> None:
        falling = np.argsort(-scores, kind="stable")
        positives, negatives = falling[positive[falling] == 1], falling[positive[falling] == 0]
        self._positives, self._negatives = units[positives], units[negatives]
        self._first = np.flatnonzero(np.append(True, np.diff(scores[positives]) != 0))
        steps = -scores[positives[self._first]]
        self._above = np.searchsorted(-scores[negatives], steps, side="left")
        self._not_below = np.searchsorted(-scores[negatives], steps, side="right")
        self._work = Workspace()

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Return each ranking metric, (b,), for weights (b, units); NaN or infinite where a replicate lost a class."""
        found, true, above = self._counts(weights)
        false = self._work.rows("false", above, self._not_below)
        positives, negatives = true[-1], above[-1]
        lost = np.einsum("kb,kb->b", found, false)
        if (self._above != self._not_below).any():  # a negative of the same score is half lost, half won
            lost = (lost + np.einsum("kb,kb->b", found, self._work.rows("above", above, self._above))) / 2
        values = {
            "auroc": 1 - lost / (positives * negatives),
            "average_precision": self._average_precision(found, true, false),
        }
        every = np.arange(len(weights))
        for level in (90, 95):
            # Of the thresholds that reach the level, the best; one lies above all scores, where sensitivity is 0.
            allowed = np.nextafter(negatives * (100 - level) / 100, np.inf)
            steps = count_below(lambda rows: false[rows, every], len(false), allowed)
            values[f"sensitivity_at_{level}_specificity"] = np.where(steps > 0, true[steps - 1, every], 0) / positives
            steps = count_below(lambda rows: true[rows, every], len(true), positives * level / 100)
            values[f"specificity_at_{level}_sensitivity"] = 1 - false[steps, every] / negatives
        return values

    def average_precision(self, weights: Floats, negative_weight: float) -> Floats:
        """Return the average precision, (b,), with every negative cell weighted as told."""
        found, true, above = self._counts(weights)
        return self._average_precision(found, true, negative_weight * above[self._not_below])

    def _counts(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """Return positives at each step and down to it, (steps, b), and the first 0, 1, ... negatives, (. + 1, b)."""
        found = self._work.rows("found", weights.T, self._positives)
        if len(self._first) < len(found):
            found = np.add.reduceat(found, self._first, axis=0)
        true = self._work.array("true", *found.shape)
        true[:] = found
        above = self._work.array("negatives", len(self._negatives) + 1, len(weights))
        above[0] = 0
        np.take(weights.T, self._negatives, axis=0, out=above[1:], mode="clip")
        return found, running_sums(true), running_sums(above)

    def _average_precision(self, found: Floats, true: Floats, false: Floats) -> Floats:
        precision = np.add(true, false, out=self._work.array("precision", *true.shape))
        np.maximum(precision, np.finfo(np.float64).tiny, out=precision)  # nothing called positive yet: 0, not 0 / 0
        np.divide(true, precision, out=precision)
        return np.einsum("kb,kb->b", found, precision) / true[-1]


class EqualMass:
    """Expected calibration error over bins of equal mass.

    Cells of equal score stay together; they lie in the bin that holds the middle of their mass.

    Args:
        scores, positive, units: as for `Ranking`, but one class will do.
    """

    def __init__(self, scores: Floats, positive: Floats, units: Codes) -> None:
        falling = np.argsort(-scores, kind="stable")
        self._units = units[falling]
        self._residual = (positive - scores)[falling, None]
        self._last = np.flatnonzero(np.append(np.diff(scores[falling]) != 0, True))
        self._work = Workspace()

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Return the error, (b,), for weights (b, units)."""
        mass = self._work.rows("mass", weights.T, self._units)
        residual = np.multiply(mass, self._residual, out=self._work.array("residual", *mass.shape))
        running_sums(mass)
        running_sums(residual)
        last, total, every = self._last, mass[-1], np.arange(len(weights))

        def twice_the_middle(steps: Codes) -> Floats:  # twice, so that whole numbers stay exact
            before = np.where(steps > 0, mass[last[steps - 1], every], 0)
            return before + mass[last[steps], every]

        edges = np.arange(1, EQUAL_MASS_BINS)[:, None] * (2 * total) / EQUAL_MASS_BINS
        steps = count_below(twice_the_middle, len(last), edges)
        down_to = np.where(steps > 0, residual[last[steps - 1], every], 0)
        by_bin = np.diff(down_to, axis=0, prepend=0, append=residual[-1:])
        return {"ece_mass": np.abs(by_bin).sum(axis=0) / total}
