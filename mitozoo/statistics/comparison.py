"""Several models on the same test cells: paired differences over groups, corrected p, and how sure their ranks are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from mitozoo.statistics.bootstrap import ENOUGH_FOR_PERCENTILES, ENOUGH_FOR_RANKS, ENOUGH_WITH_POSITIVE
from mitozoo.statistics.metrics import POINT_ONLY, metric_direction
from mitozoo.statistics.resampling import TestedCells, effective_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from mitozoo.statistics.arrays import Floats
    from mitozoo.statistics.estimates import ScoredRow

LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """First minus second: the value, its 95 % interval over groups, and a two-sided p; None where undefined."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None


@dataclass(frozen=True)
class Standing:
    """How sure a model's place among the compared ones is.

    Attributes:
        rank_low: 1 + the models that are better by a Holm-corrected test at 5 %: the best place that it may have.
        rank_high: the worst place that it may have, likewise; all ranges together are right in 95 % of samples.
        best: share of the shared replicates in which it is the best; equal ones share. None where all are undefined.
    """

    rank_low: int
    rank_high: int
    best: float | None


class PairedModels:
    """Models that were tested on the same cells, with the same folds and seeds; one draw of groups serves them all.

    With at least 50 effective groups, intervals are percentiles and p = (1 + k) / (B + 1) where k replicates lie as
    far from the difference as 0 does; below: the delete-one-group jackknife with Student's t(G - 1).

    Args:
        models: the rows of each model, matched by (key, fold, seed).
        labels: (N,) 0 or 1, of the cell table.
        groups: (N,) names of what is drawn.
        slides: (N,) names.
        replicates: number of draws B.
        seed: of the draws.
        auroc_alone: know no other metric, and be some hundred times faster.

    Raises:
        ValueError: the rows do not match.
    """

    def __init__(
        self,
        models: Sequence[Sequence[ScoredRow]],
        labels: ArrayLike,
        groups: ArrayLike,
        slides: ArrayLike,
        *,
        replicates: int = 9999,
        seed: int = 0,
        auroc_alone: bool = False,
    ) -> None:
        by_place = [{(row.key, row.fold, row.seed): row for row in rows} for rows in models]
        places = list(by_place[0])
        if not places or any(rows.keys() != by_place[0].keys() for rows in by_place):
            raise ValueError("all need the same folds, seeds and label budgets")
        if any(not np.array_equal(rows[at].cell, by_place[0][at].cell) for rows in by_place for at in places):
            raise ValueError("all must be tested on the same cells")
        every = [row for rows in models for row in rows]
        table = TestedCells(every, labels, groups, slides, {}, replicates, seed, auroc_alone=auroc_alone)
        self._fits = [[table.fit(rows[at]) for at in places] for rows in by_place]
        cells = np.unique(np.concatenate([row.cell for row in models[0]]))
        self._tested, sizes = np.unique(table.groups[cells], return_counts=True)
        self.n_groups, self.effective_groups = len(self._tested), effective_groups(sizes)
        self.groups_with_positive = len(np.unique(table.groups[cells[table.labels[cells] == 1]]))
        self.method = "percentile" if self.effective_groups >= ENOUGH_FOR_PERCENTILES else "jackknife"
        if self.groups_with_positive < ENOUGH_WITH_POSITIVE:
            self.method = "none"

    @cached_property
    def means(self) -> list[dict[str, float]]:
        """Each model's metrics, averaged over folds and seeds."""
        return [
            {name: float(np.mean([fit.values[name] for fit in fits])) for name in fits[0].values} for fits in self._fits
        ]

    def difference(self, first: int, second: int) -> dict[str, Difference]:
        """Return each metric's mean difference of two models over matching folds and seeds."""
        one, other = self.means[first], self.means[second]
        return {name: self._difference(name, one[name] - other[name], first, second) for name in one}

    def pairs(self) -> dict[tuple[int, int], dict[str, Difference]]:
        """Return the difference of each two models, first minus second."""
        return {pair: self.difference(*pair) for pair in combinations(range(len(self._fits)), 2)}

    def why_no_ranks(self, metric: str) -> str:
        """Return why the models may not be ranked by a metric; '' where they may."""
        if self.effective_groups < ENOUGH_FOR_RANKS:
            return f"few independent slides: no ranks ({self.effective_groups:.1f} effective groups)"
        if self.method == "none":
            return f"fewer than {ENOUGH_WITH_POSITIVE} groups hold a positive cell: no ranks"
        if metric in POINT_ONLY or metric not in self.means[0]:
            return f"'{metric}' has no interval or no better end: no ranks"
        return ""

    def standings(self, metric: str, pairs: dict[tuple[int, int], dict[str, Difference]]) -> list[Standing]:
        """Return how sure each model's place by a metric is.

        Raises:
            ValueError: they may not be ranked.
        """
        if reason := self.why_no_ranks(metric):
            raise ValueError(reason)
        sign = 1 if metric_direction(metric) == "higher" else -1
        models = len(self._fits)
        worse_than, better_than = [0] * models, [0] * models
        found = {pair: differences[metric] for pair, differences in pairs.items()}
        for (pair, difference), p in zip(found.items(), holm([d.p for d in found.values()]), strict=True):
            if p is not None and p <= LEVEL and difference.value:
                better, worse = pair if sign * difference.value > 0 else pair[::-1]
                worse_than[worse] += 1
                better_than[better] += 1
        drawn = sign * np.stack([each[metric] for each in self._replicates])
        drawn = drawn[:, ~np.isnan(drawn).any(axis=0)]
        best: list[float | None] = [None] * models
        if drawn.size:
            ahead = drawn == drawn.max(axis=0)
            best = [float(share) for share in (ahead / ahead.sum(axis=0)).mean(axis=1)]
        return [Standing(1 + worse_than[model], models - better_than[model], best[model]) for model in range(models)]

    @cached_property
    def _replicates(self) -> list[dict[str, Floats]]:
        """Each model's metrics in each draw, averaged over folds and seeds."""
        return [
            {name: np.mean([fit.drawn[name] for fit in fits], axis=0) for name in fits[0].drawn} for fits in self._fits
        ]

    @cached_property
    def _left_out(self) -> list[dict[str, Floats]]:
        without = [[fit.without_each(self._tested) for fit in fits] for fits in self._fits]
        return [{name: np.mean([each[name] for each in fits], axis=0) for name in fits[0]} for fits in without]

    def _difference(self, name: str, value: float, first: int, second: int) -> Difference:
        if self.method == "none" or np.isnan(value):
            return Difference(None if np.isnan(value) else value, None, None, None)
        of_model = self._replicates if self.method == "percentile" else self._left_out
        if name not in of_model[0]:  # a point-only metric
            return Difference(value, None, None, None)
        each = of_model[first][name] - of_model[second][name]
        return _by_percentiles(value, each) if self.method == "percentile" else _by_jackknife(value, each)


def paired_differences(
    first: Sequence[ScoredRow],
    second: Sequence[ScoredRow],
    labels: ArrayLike,
    groups: ArrayLike,
    slides: ArrayLike,
    *,
    replicates: int = 9999,
    seed: int = 0,
) -> dict[str, Difference]:
    """Return each metric's mean difference of two models, see `PairedModels`."""
    models = PairedModels([first, second], labels, groups, slides, replicates=replicates, seed=seed)
    return models.difference(0, 1)


def holm(chances: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for their number by Holm's step-down rule; None stays None and is not counted."""
    known = sorted((p, place) for place, p in enumerate(chances) if p is not None)
    corrected: list[float | None] = [None] * len(chances)
    least = 0.0
    for rank, (p, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p))
        corrected[place] = least
    return corrected


def _by_percentiles(value: float, drawn: Floats) -> Difference:
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return Difference(value, None, None, None)
    low, high = np.quantile(defined, [0.025, 0.975])
    as_far = int(np.sum(np.abs(defined - value) >= abs(value)))
    return Difference(value, min(float(low), value), max(float(high), value), (1 + as_far) / (len(defined) + 1))


def _by_jackknife(value: float, left_out: Floats) -> Difference:
    if np.isnan(left_out).any() or len(left_out) < 2:
        return Difference(value, None, None, None)
    from scipy.stats import t

    groups, spread = len(left_out), left_out - left_out.mean()
    error = float(np.sqrt((groups - 1) / groups * (spread @ spread)))
    reach = float(t.ppf(0.975, groups - 1)) * error
    p = 1.0 if error == 0 and value == 0 else 0.0 if error == 0 else float(2 * t.sf(abs(value) / error, groups - 1))
    return Difference(value, value - reach, value + reach, p)
