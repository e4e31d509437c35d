"""A run's scores taken apart: by domain, by perturbation, and for a domain that training never saw."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.statistics.bootstrap import intervals
from mitozoo.statistics.comparison import paired_differences
from mitozoo.statistics.estimates import ScoredRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.data.splits import Fold
    from mitozoo.results.cell_columns import CellColumns
    from mitozoo.results.row import Axes, ResultRow

SHOWN = ("auroc", "average_precision", "balanced_accuracy", "sensitivity", "specificity", "within_slide_auroc")
REPLICATES = 1000
INTERVAL_SEED = 0


def breakdown(cells: CellColumns, folds: Sequence[Fold], done: Sequence[ResultRow]) -> dict[str, Any]:
    """Return the parts 'by_domain', 'by_negatives', 'perturbed' and 'domain_gap' of a document; lists, maybe empty.

    Args:
        cells: the run's cells.
        folds: its outer folds.
        done: its finished rows; domains and gaps are those of the largest label fraction.
    """
    largest = max((row.axes.fraction for row in done), default=1.0)
    fits = {row.axes: row for row in done if not row.axes.perturbed and row.axes.fraction == largest}
    return {
        "by_domain": _by_domain(cells, folds, list(fits.values())),
        "by_negatives": _by_negatives(cells, folds, list(fits.values())),
        "perturbed": _perturbed(cells, done),
        "domain_gap": _domain_gap(cells, folds, fits),
    }


def _by_domain(cells: CellColumns, folds: Sequence[Fold], fits: Sequence[ResultRow]) -> list[dict[str, Any]]:
    """Score the test cells of each tumour, scanner and so on, with the threshold that was chosen for all."""
    scored = []
    for row in fits:
        fold = folds[row.axes.fold]
        if fold.reference_for is not None:
            continue
        for domain, values in cells.domains.items():
            for value in np.unique(values[row.test]) if len(np.unique(values)) > 1 else ():
                inside = values[row.test] == value
                own_key = (fold.trained_on, domain, str(value))
                scored.append(_scored(row, own_key, inside, "/".join((row.axes.row_id, domain, str(value)))))
    if not scored:
        return []
    found = intervals(
        scored, cells.labels, cells.groups, cells.slides, domains={}, replicates=REPLICATES, seed=INTERVAL_SEED
    ).summaries
    entries = []
    for key, summary in found.items():
        trained_on, domain, value = (str(part) for part in key)
        tested = np.unique(np.concatenate([row.cell for row in scored if row.key == key]))
        entries.append(
            {
                "trained_on": trained_on,
                "domain": domain,
                "value": value,
                "cells": len(tested),
                "positive_cells": int(cells.labels[tested].sum()),
                "groups": len(np.unique(cells.groups[tested])),
                "interval": dataclasses.asdict(summary.basis),
                "metrics": {name: dataclasses.asdict(summary.metrics[name]) for name in SHOWN},
            }
        )
    return entries


def _by_negatives(cells: CellColumns, folds: Sequence[Fold], fits: Sequence[ResultRow]) -> list[dict[str, Any]]:
    """Score the positive test cells against each kind of negative alone; nothing where there is one kind only."""
    kinds = sorted(set(cells.negative_kinds.tolist()) - {""})
    tested = [row for row in fits if folds[row.axes.fold].reference_for is None]
    if len(kinds) < 2 or not tested:
        return []
    scored = [
        _scored(row, (kind,), np.isin(cells.negative_kinds[row.test], ("", kind)), f"{row.axes.row_id}/{kind}")
        for kind in kinds
        for row in tested
    ]
    found = intervals(
        scored, cells.labels, cells.groups, cells.slides, domains={}, replicates=REPLICATES, seed=INTERVAL_SEED
    ).summaries
    return [
        {
            "negatives": kind,
            "cells": int(np.sum(cells.negative_kinds == kind)),
            "interval": dataclasses.asdict(found[kind,].basis),
            "metrics": {name: dataclasses.asdict(found[kind,].metrics[name]) for name in SHOWN},
        }
        for kind in kinds
    ]


def _perturbed(cells: CellColumns, done: Sequence[ResultRow]) -> list[dict[str, Any]]:
    """Compare each perturbation's scores with those of the same fits on untouched cells: perturbed minus untouched."""
    rows = {row.axes: row for row in done}
    kinds = sorted({(-axes.fraction, axes.perturbed) for axes in rows if axes.perturbed})
    entries = []
    for fraction, name in kinds:
        touched = [row for axes, row in rows.items() if axes.perturbed == name and axes.fraction == -fraction]
        pairs = [(row, rows[row.axes.fit]) for row in touched if row.axes.fit in rows]
        if not pairs:
            continue
        summary = intervals(
            [_scored(row, ()) for row, _ in pairs], cells.labels, cells.groups, cells.slides, domains={},
            replicates=REPLICATES, seed=INTERVAL_SEED,
        ).summaries[()]  # fmt: skip
        entries.append(
            {
                "fraction": -fraction,
                "perturbed": name,
                "interval": dataclasses.asdict(summary.basis),
                "metrics": {metric: dataclasses.asdict(summary.metrics[metric]) for metric in SHOWN},
                "difference": _differences(cells, [row for row, _ in pairs], [row for _, row in pairs]),
            }
        )
    return entries


def _domain_gap(cells: CellColumns, folds: Sequence[Fold], fits: dict[Axes, ResultRow]) -> list[dict[str, Any]]:
    """Compare, on the same cells of a domain, training that saw other cases of it with training that did not."""
    entries = []
    for fold in folds:
        mixed, apart = [], []
        for axes, row in fits.items():
            without = dataclasses.replace(axes, fold=fold.index)
            if folds[axes.fold].reference_for == fold.index and without in fits:
                source = fits[without]
                mixed.append(_scored(row, ()))
                inside = np.isin(source.test, row.test)
                apart.append(dataclasses.replace(_scored(source, (), inside), fold=axes.fold, seed=axes.seed))
        if not mixed:
            continue
        found = paired_differences(
            mixed, apart, cells.labels, cells.groups, cells.slides, replicates=REPLICATES, seed=INTERVAL_SEED
        )
        entries.append(
            {"left_out": fold.name, "gap": {name: dataclasses.asdict(found[name]) for name in SHOWN if name in found}}
        )
    return entries


def _differences(cells: CellColumns, first: Sequence[ResultRow], second: Sequence[ResultRow]) -> dict[str, Any]:
    found = paired_differences(
        [_scored(row, ()) for row in first], [_scored(row, ()) for row in second], cells.labels, cells.groups,
        cells.slides, replicates=REPLICATES, seed=INTERVAL_SEED,
    )  # fmt: skip
    return {name: dataclasses.asdict(found[name]) for name in SHOWN if name in found}


def _scored(
    row: ResultRow, key: tuple[str, ...], inside: np.ndarray[Any, Any] | None = None, row_id: str = ""
) -> ScoredRow:
    kept = slice(None) if inside is None else inside
    return ScoredRow(
        row_id=row_id or row.axes.row_id, cell=row.test[kept], scores=row.test_scores[kept], threshold=row.threshold,
        fold=row.axes.fold, seed=row.axes.seed, key=key,
    )  # fmt: skip
