"""AUROC from pairs inside a slide or a domain's value: what a model knows beyond where a cell comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mitozoo.statistics.arrays import ONCE, OrderedCells, Workspace

if TYPE_CHECKING:
    from mitozoo.statistics.arrays import Codes, Floats


class PairsWithin:
    """All pairs of a positive and a negative cell of the same stratum.

    Attributes:
        strata: (s,) codes of the strata that hold both classes; the others have no pairs.

    Args:
        scores: (n,) scores of the positive class.
        positive: (n,) 1.0 for a positive cell, 0.0 for a negative one.
        units: (n,) which column of the weights belongs to each cell, from 1 on.
        strata: (n,) codes 0, 1, ..., of a slide or a domain's value.
    """

    def __init__(self, scores: Floats, positive: Floats, units: Codes, strata: Codes) -> None:
        cells, positives = np.bincount(strata), np.bincount(strata, positive)
        self.strata = np.flatnonzero((positives > 0) & (positives < cells))
        order = np.lexsort((scores, strata))
        order = order[np.isin(strata[order], self.strata)]
        is_positive = positive[order] == 1
        rising = np.unique(scores, return_inverse=True)[1]
        place = strata * (rising.max() + 1) + rising  # by stratum, then by score
        negatives = place[order[~is_positive]]
        positives = place[order[is_positive]]
        self._positives = units[order[is_positive]]
        self._negatives = OrderedCells(np.append(0, units[order[~is_positive]]))  # first nobody: place k is after k
        below, not_above = (
            self._negatives.rows(np.searchsorted(negatives, positives, side)) for side in ("left", "right")
        )
        self._below, self._not_above = below, not_above if (below != not_above).any() else None
        self._first_positive = np.searchsorted(strata[order[is_positive]], self.strata)
        bounds = np.append(np.searchsorted(strata[order[~is_positive]], self.strata), len(negatives))
        self._bounds = self._negatives.rows(bounds)
        self._work = Workspace()

    def wins(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return (wins, pairs) in each stratum, (b, s), for weights (b, units); a tie is half a win."""
        if not len(self.strata):
            return np.zeros((len(weights), 0)), np.zeros((len(weights), 0))
        found = self._work.rows("found", weights.T, self._positives)
        positives = np.add.reduceat(found, self._first_positive, axis=0)
        sums = self._negatives.accumulate(self._work.rows("negatives", weights.T, self._negatives.units))
        beaten = self._work.rows("beaten", sums, self._below)
        if self._not_above is not None:
            beaten += self._work.rows("tied", sums, self._not_above)
            beaten /= 2
        beaten *= found
        before = sums[self._bounds]  # all negatives of earlier strata
        wins = np.add.reduceat(beaten, self._first_positive, axis=0) - positives * before[:-1]
        return wins.T, (positives * np.diff(before, axis=0)).T


class WithinSlides:
    """AUROC over all pairs of one slide (pair-weighted), and its mean over the slides that hold both classes.

    Args:
        scores, positive, units: as for `PairsWithin`.
        slides: (n,) codes 0, 1, ..., each of which occurs.
        whole: units hold whole slides, and a copy of a unit is a unit of its own; else cells repeat within their slide.
    """

    def __init__(self, scores: Floats, positive: Floats, units: Codes, slides: Codes, *, whole: bool) -> None:
        unit_of_slide = units[np.unique(slides, return_index=True)[1]]
        if whole and (unit_of_slide[slides] != units).any():
            raise ValueError("a slide lies in two groups, but groups must hold whole slides")
        self._pairs = PairsWithin(scores, positive, np.ones_like(units) if whole else units, slides)
        self._unit_of_slide = unit_of_slide[self._pairs.strata] if whole else None

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Return both metrics, (b,), for weights (b, units)."""
        copies, inside = np.ones((1, 1)), weights
        if self._unit_of_slide is not None:
            copies, inside = weights[:, self._unit_of_slide], ONCE
        wins, pairs = self._pairs.wins(inside)
        share = np.divide(wins, pairs, out=np.zeros_like(wins), where=pairs > 0)
        return {
            "within_slide_auroc": (copies * wins).sum(axis=1) / (copies * pairs).sum(axis=1),
            "within_slide_auroc_macro": (copies * share).sum(axis=1) / (copies * (pairs > 0)).sum(axis=1),
        }


class WithinDomain:
    """Mean AUROC inside the values of a domain that hold both classes; undefined where a replicate lost one of them.

    Args:
        name: the domain; the metric is `domain_macro_<name>_auroc`.
        scores, positive, units: as for `PairsWithin`.
        values: (n,) codes 0, 1, ... of the domain's values.
    """

    def __init__(self, name: str, scores: Floats, positive: Floats, units: Codes, values: Codes) -> None:
        self._name = f"domain_macro_{name}_auroc"
        self._pairs = PairsWithin(scores, positive, units, values)

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Return the metric, (b,), for weights (b, units)."""
        wins, pairs = self._pairs.wins(weights)
        return {self._name: (wins / pairs).sum(axis=1) / len(self._pairs.strata)}
