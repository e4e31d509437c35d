"""95 % intervals over groups: one draw of groups serves every fold, seed and metric of a run, and every model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.statistics.estimates import (
    Basis,
    Estimate,
    Intervals,
    MeanEstimate,
    RowIntervals,
    ScoredRow,
    SummaryIntervals,
)
from mitozoo.statistics.limits import jackknife_limits, percentile_limits
from mitozoo.statistics.metrics import metric_range
from mitozoo.statistics.resampling import Fit, TestedCells, effective_groups

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import ArrayLike

    from mitozoo.statistics.arrays import Floats
    from mitozoo.statistics.limits import Ends

#: From this many effective groups on, percentiles of the bootstrap; below, the jackknife.
ENOUGH_FOR_PERCENTILES = 50
#: Below this many effective groups nothing may be ranked.
ENOUGH_FOR_RANKS = 10
#: Below this many groups with a positive cell there is no interval.
ENOUGH_WITH_POSITIVE = 5


def intervals(
    rows: Sequence[ScoredRow],
    labels: ArrayLike,
    groups: ArrayLike,
    slides: ArrayLike,
    *,
    domains: Mapping[str, ArrayLike] | None = None,
    replicates: int = 1000,
    seed: int = 0,
    method: str | None = None,
) -> Intervals:
    """Return each row's metrics and each key's means over folds and seeds, with 95 % intervals over groups.

    Intervals are conditional on the trained models. With at least 50 effective groups they are percentiles of the
    bootstrap over groups, else a delete-one-group jackknife; with fewer than 5 groups that hold a positive, none. The
    mean over folds and seeds is taken inside each replicate, which is undefined if any of its folds is. Draws depend
    on the tested groups and the seed alone: models tested on the same cells share them.

    Args:
        rows: the fits; rows with the same cells, scores, threshold and temperature are computed once.
        labels: (N,) 0 or 1, of the run's cell table.
        groups: (N,) names or codes of what is drawn.
        slides: (N,) names or codes; a slide lies in one group.
        domains: name of a domain -> (N,) its values, for the macro averages over domains.
        replicates: number of draws.
        seed: of the draws.
        method: 'percentile' or 'jackknife' forces one where the rule may choose the other, for studies of coverage.
    """
    by_key: dict[tuple[Hashable, ...], list[ScoredRow]] = {}
    for row in rows:
        by_key.setdefault(row.key, []).append(row)
    places = {(row.key, row.fold, row.seed) for row in rows}
    if min(len(places), len({row.row_id for row in rows})) < len(rows):
        raise ValueError("two rows share their row_id, or their key, fold and seed")
    if not rows:
        return Intervals(rows={}, summaries={})
    run = _Run(TestedCells(rows, labels, groups, slides, domains or {}, replicates, seed), method)
    return Intervals(
        rows={row.row_id: run.row(row) for row in rows},
        summaries={key: run.summary(members) for key, members in by_key.items()},
    )


class _Run:
    """The tested cells, and how intervals are made on them."""

    def __init__(self, table: TestedCells, method: str | None) -> None:
        self._table, self._method = table, method

    def row(self, row: ScoredRow) -> RowIntervals:
        values, limits, basis = self._estimate([row])
        return RowIntervals({name: Estimate(_known(values[name]), *limits[name]) for name in values}, basis)

    def summary(self, rows: Sequence[ScoredRow]) -> SummaryIntervals:
        values, limits, basis = self._estimate(rows)
        spread, about_training = self._sd_over_seeds(rows)
        counts = len({row.seed for row in rows}), len({row.fold for row in rows})
        means = {}
        for name, mean in values.items():
            low, high = limits[name]
            means[name] = MeanEstimate(_known(mean), low, high, _known(spread.get(name)), *counts)
        return SummaryIntervals(means, replace(basis, note="; ".join(filter(None, (basis.note, about_training)))))

    def _estimate(self, rows: Sequence[ScoredRow]) -> tuple[dict[str, float], dict[str, Ends], Basis]:
        fits = [self._table.fit(row) for row in rows]
        cells = np.unique(np.concatenate([row.cell for row in rows]))
        groups, sizes = np.unique(self._table.groups[cells], return_counts=True)
        effective = effective_groups(sizes)
        with_positive = len(np.unique(self._table.groups[cells[self._table.labels[cells] == 1]]))
        method = self._method or ("percentile" if effective >= ENOUGH_FOR_PERCENTILES else "jackknife")
        notes = ["conditional on the trained models"]
        if effective < ENOUGH_FOR_RANKS:
            notes.append("few independent slides: no ranks")
        if with_positive < ENOUGH_WITH_POSITIVE:
            notes.append(f"no interval: fewer than {ENOUGH_WITH_POSITIVE} groups hold a positive cell")
            method = "none"

        values = {name: float(mean) for name, mean in _mean([fit.values for fit in fits]).items()}
        replicates: dict[str, Floats] = {}
        if method == "percentile":
            replicates = _mean([fit.drawn for fit in fits])
        elif method == "jackknife":
            replicates = _mean([fit.without_each(groups) for fit in fits])
        limits: dict[str, Ends] = dict.fromkeys(values, (None, None))
        for name, of_metric in replicates.items():
            if method == "percentile":
                limits[name] = percentile_limits(values[name], of_metric)
            else:
                limits[name] = jackknife_limits(values[name], of_metric, metric_range(name), len(cells))
        undefined = {name: int(np.isnan(of_metric).sum()) for name, of_metric in replicates.items()}
        undefined = {name: count for name, count in undefined.items() if count}
        if undefined and method == "jackknife":
            notes.append("no interval where a metric is undefined without one of the groups")
        basis = Basis(
            method=method,
            replicates={"percentile": self._table.replicates, "jackknife": len(groups), "none": 0}[method],
            seed=self._table.seed,
            n_groups=len(groups),
            effective_groups=effective,
            largest_share=float(sizes.max() / sizes.sum()),
            groups_with_positive=with_positive,
            undefined_replicates=undefined,
            note="; ".join(notes),
        )
        return values, limits, basis

    def _sd_over_seeds(self, rows: Sequence[ScoredRow]) -> tuple[dict[str, float], str]:
        """Return the sd over seeds of the mean over folds, or nothing and why."""
        by_seed: dict[int, dict[int, Fit]] = {}
        for row in rows:
            by_seed.setdefault(row.seed, {})[row.fold] = self._table.fit(row)
        first, *others = by_seed.values()
        if not others:
            return {}, ""
        if all(each == first for each in others):
            return {}, "no training randomness"
        if any(each.keys() != first.keys() for each in others):
            return {}, "no sd over seeds: they were not tested on the same folds"
        of_seed = [_mean([fit.values for fit in fits.values()]) for fits in by_seed.values()]
        return {name: float(np.std([each[name] for each in of_seed], ddof=1)) for name in of_seed[0]}, ""


def _mean(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: np.mean([values[name] for values in each], axis=0) for name in each[0]}


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
