"""Metrics of the order of the scores, for many weightings at once: sorted once, then running sums along the cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mitozoo.statistics.arrays import OrderedCells, Workspace, count_below
from mitozoo.statistics.sums import TEMPERED

if TYPE_CHECKING:
    from mitozoo.statistics.arrays import Codes, Floats

EQUAL_MASS_BINS = 15
#: Prevalences that average precision is also stated at: the least positive of the sets (10 %), and a screening task.
PREVALENCES = (0.10, 0.02)


class Ranking:
    """The positive cells, from high scores to low, and the negative cells above each.

    Args:
        scores: (n,) scores of the positive class.
        positive: (n,) 1.0 for a positive cell, 0.0 for a negative one; both occur.
        units: (n,) which column of the weights belongs to each cell, from 1 on.
    """

    def __init__(self, scores: Floats, positive: Floats, units: Codes) -> None:
        falling = np.argsort(-scores, kind="stable")
        positives, negatives = falling[positive[falling] == 1], falling[positive[falling] == 0]
        steps, others = -scores[positives], -scores[negatives]
        self._cells = len(positives)
        self._positives = OrderedCells(units[positives])
        self._negatives = OrderedCells(np.append(0, units[negatives]))  # first nobody: place k is after k negatives
        self._end = int(self._negatives.rows(np.array(len(negatives))))
        above, not_below = (self._negatives.rows(np.searchsorted(others, steps, side)) for side in ("left", "right"))
        self._not_below = self._positives.lay_out(not_below)
        self._above = self._positives.lay_out(above) if (above != not_below).any() else None
        last = np.searchsorted(steps, steps, side="right") - 1  # of the positives with the same score
        tied = (last != np.arange(len(last))).any()
        self._last = self._positives.lay_out(self._positives.rows(last)) if tied else None
        self._work = Workspace()

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Return each ranking metric, (b,), for weights (b, units); NaN or infinite where a replicate lost a class."""
        found, true, above = self._counts(weights)
        false = self._work.rows("false", above, self._not_below)
        every = np.arange(len(weights))

        def at(columns: Floats, places: Codes) -> Floats:
            return columns[self._positives.rows(places), every]

        positives, negatives = at(true, np.array(self._cells - 1)), above[self._end]
        lost = np.einsum("kb,kb->b", found, false)
        if self._above is not None:  # a negative of the same score is half lost, half won
            lost = (lost + np.einsum("kb,kb->b", found, self._work.rows("above", above, self._above))) / 2
        values = {
            "auroc": 1 - lost / (positives * negatives),
            "average_precision": self._average_precision(found, true, false) / positives,
        }
        for prevalence in PREVALENCES:  # the positives keep their weight 1, the negatives share the rest
            weight = (1 - prevalence) / prevalence * positives / negatives
            weighted = np.multiply(false, weight, out=self._work.array("weighted", *false.shape))
            values[f"ap@{prevalence:.2f}"] = self._average_precision(found, true, weighted) / positives
        for level in (90, 95):
            # Of the thresholds that reach the level, the best; one lies above all scores, where sensitivity is 0.
            allowed = np.nextafter(negatives * (100 - level) / 100, np.inf)
            places = count_below(lambda asked: at(false, asked), self._cells, allowed)
            sensitivity = np.where(places > 0, at(true, np.maximum(places - 1, 0)), 0) / positives
            values[f"sensitivity_at_{level}_specificity"] = sensitivity
            places = count_below(lambda asked: at(true, asked), self._cells, positives * level / 100)
            values[f"specificity_at_{level}_sensitivity"] = 1 - at(false, places) / negatives
        return values

    def average_precision(self, weights: Floats, negative_weight: float) -> Floats:
        """Return the average precision, (b,), with every negative cell weighted as told."""
        found, true, above = self._counts(weights)
        return self._average_precision(found, true, negative_weight * above[self._not_below]) / found.sum(axis=0)

    def _counts(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the positives in each row, and those down to its score, (rows, b); and all sums of negatives."""
        found = self._work.rows("found", weights.T, self._positives.units)
        true = self._work.array("true", *found.shape)
        true[:] = found
        self._positives.accumulate(true)
        if self._last is not None:
            true = self._work.rows("true, ties together", true, self._last)
        above = self._work.rows("negatives", weights.T, self._negatives.units)
        return found, true, self._negatives.accumulate(above)

    def _average_precision(self, found: Floats, true: Floats, false: Floats) -> Floats:
        precision = np.add(true, false, out=self._work.array("precision", *true.shape))
        np.maximum(precision, np.finfo(np.float64).tiny, out=precision)  # nothing called positive yet: 0, not 0 / 0
        np.divide(true, precision, out=precision)
        return np.einsum("kb,kb->b", found, precision)


class EqualMass:
    """Expected calibration error over bins of equal mass.

    Cells of equal score stay together; they lie in the bin that holds the middle of their mass.

    Args:
        scores, positive, units: as for `Ranking`, but one class will do.
        tempered: (n,) the scores after a temperature, which keeps their order; None where it changes nothing.
    """

    def __init__(self, scores: Floats, positive: Floats, units: Codes, tempered: Floats | None = None) -> None:
        falling = np.argsort(-scores, kind="stable")
        self._cells = OrderedCells(units[falling])
        versions = [scores] if tempered is None else [scores, tempered]
        self._residuals = [self._cells.lay_out((positive - each)[falling])[:, None] for each in versions]
        self._steps = self._cells.rows(np.flatnonzero(np.append(np.diff(scores[falling]) != 0, True)))
        self._work = Workspace()

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Return the error, raw and after the temperature, (b,) each, for weights (b, units)."""
        mass = self._work.rows("mass", weights.T, self._cells.units)
        residuals = [
            self._cells.accumulate(np.multiply(mass, each, out=self._work.array(f"residual {k}", *mass.shape)))
            for k, each in enumerate(self._residuals)
        ]
        self._cells.accumulate(mass)
        total, every = mass[self._steps[-1]], np.arange(len(weights))

        def before(sums: Floats, steps: Codes) -> Floats:
            return np.where(steps > 0, sums[self._steps[steps - 1], every], 0)

        def twice_the_middle(steps: Codes) -> Floats:  # twice, so that whole numbers stay exact
            return before(mass, steps) + mass[self._steps[steps], every]

        edges = np.arange(1, EQUAL_MASS_BINS)[:, None] * (2 * total) / EQUAL_MASS_BINS
        steps = count_below(twice_the_middle, len(self._steps), edges)
        errors = []
        for residual in residuals:
            by_bin = np.diff(before(residual, steps), axis=0, prepend=0, append=residual[self._steps[-1:]])
            errors.append(np.abs(by_bin).sum(axis=0) / total)
        return {"ece_mass": errors[0], f"ece_mass{TEMPERED}": errors[-1]}
