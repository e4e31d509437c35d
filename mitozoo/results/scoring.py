"""From rows to the numbers of a result document; `eval` writes with it what `verify` recomputes with it."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.data.splits import NotEnoughLabels, draw, smallest_fraction
from mitozoo.results.breakdown import breakdown
from mitozoo.results.row import DONE, Axes, ResultRow, Rows
from mitozoo.statistics.bootstrap import intervals
from mitozoo.statistics.calibration import fit_temperature
from mitozoo.statistics.controls import domain_prior, slide_prior, test_slide_rate
from mitozoo.statistics.estimates import Basis, Estimate, MeanEstimate, ScoredRow
from mitozoo.statistics.metrics import best_threshold

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from mitozoo.data.splits import Fold, Groups, Labels
    from mitozoo.results.cell_columns import CellColumns

REPLICATES = 1000
INTERVAL_SEED = 0
ORACLES = ("test_slide_rate",)
CONTROL_METRICS = ("auroc", "average_precision", "within_slide_auroc", "balanced_accuracy")
#: Below this many positive cells, or groups of a class, a training set gives a point and never a rank.
RANKABLE_POSITIVES, RANKABLE_GROUPS = 10, 3


def labelled_rows(labels: Labels, groups: Groups, train: Rows, axes: Axes, by: str) -> Rows:
    """Return the training cells of a fold that a row may use, as `draw` takes and draws them.

    Raises:
        NotEnoughLabels: they cannot train a classifier; the message is the row's recorded reason.
    """
    draw_fraction = partial(draw, labels, groups, train, seed=axes.seed, by=by)
    try:
        return draw_fraction(fraction=axes.fraction)
    except NotEnoughLabels as reason:
        smallest = smallest_fraction(labels, groups, train, seed=axes.seed, by=by)
        try:
            draw_fraction(fraction=smallest)
        except NotEnoughLabels:
            raise reason from None
        raise NotEnoughLabels(f"{reason}; the smallest fraction that works is {smallest:g}") from None


def score(cells: CellColumns, folds: Sequence[Fold], rows: Sequence[ResultRow]) -> dict[str, Any]:
    """Return the parts 'scores', 'summary' and 'controls' of a result document, and those of `breakdown`.

    Args:
        cells: the run's cells.
        folds: its outer folds; controls learn from all training cells of those that some row tested.
        rows: its rows, in the order of the document.
    """
    done = [row for row in rows if row.status == DONE]
    heat = {row.axes.fit: temperature_of(cells, row) for row in done if row.axes == row.axes.fit}
    scored = [
        _scored_row(row, heat, ("model", row.axes.fraction))
        for row in done
        if not row.axes.perturbed and folds[row.axes.fold].reference_for is None
    ]
    tested = {row.axes.fold for row in done}
    controlled = [fold for fold in folds if fold.index in tested and fold.reference_for is None]
    others = [row for row in done if row.axes.perturbed or folds[row.axes.fold].reference_for is not None]
    scored += [_scored_row(row, heat, ("other", row.axes.row_id)) for row in others]
    scored += [row for fold in controlled for row in _control_rows(cells, fold)]
    estimated = intervals(
        scored, cells.labels, cells.groups, cells.slides, domains=cells.domains, replicates=REPLICATES,
        seed=INTERVAL_SEED,
    )  # fmt: skip
    summaries = estimated.summaries
    return {
        "scores": [
            _row_entry(cells, row, folds[row.axes.fold])
            | (
                {
                    "temperature": heat[row.axes.fit],
                    "interval": _basis(estimated.rows[row.axes.row_id].basis),
                    "metrics": _metrics(estimated.rows[row.axes.row_id].metrics),
                }
                if row.status == DONE
                else {}
            )
            for row in rows
        ],
        "summary": [
            {"fraction": fraction, "interval": _basis(found.basis), "metrics": _metrics(found.metrics)}
            for (kind, fraction), found in summaries.items()
            if kind == "model"
        ],
        "controls": {
            str(name): {"oracle": name in ORACLES}
            | _metrics({metric: found.metrics[metric] for metric in CONTROL_METRICS})
            for (kind, name), found in summaries.items()
            if kind == "control"
        },
        **breakdown(cells, folds, done),
    }


def _scored_row(row: ResultRow, heat: Mapping[Axes, float], key: tuple[Hashable, ...]) -> ScoredRow:
    return ScoredRow(
        row_id=row.axes.row_id, cell=row.test, scores=row.test_scores, threshold=row.threshold, fold=row.axes.fold,
        seed=row.axes.seed, key=key, temperature=heat[row.axes.fit],
    )  # fmt: skip


def threshold_of(cells: CellColumns, row: ResultRow) -> float:
    """Return the threshold that a row's validation scores lead to; 0.5 where they cannot."""
    validation = np.concatenate(row.inner_parts) if row.inner_parts else np.empty(0, dtype=np.int64)
    truth = cells.trained_labels(row.axes.seed)[validation]
    return best_threshold(row.validation_scores, truth) if len(np.unique(truth)) == 2 else 0.5


def temperature_of(cells: CellColumns, row: ResultRow) -> float:
    """Return the temperature that a row's validation scores ask for; 1 where there are none."""
    validation = np.concatenate(row.inner_parts) if row.inner_parts else np.empty(0, dtype=np.int64)
    return fit_temperature(row.validation_scores, cells.trained_labels(row.axes.seed)[validation])


def strongest_control(controls: dict[str, Any]) -> tuple[str, float]:
    """Return name and AUROC of the best control that is no oracle."""
    fair = {name: float(entry["auroc"]["mean"]) for name, entry in controls.items() if not entry["oracle"]}
    name = max(fair, key=fair.__getitem__)  # defined, since each tested side holds both classes
    return name, fair[name]


def _control_rows(cells: CellColumns, fold: Fold) -> list[ScoredRow]:
    train, test, labels = fold.train, fold.test, cells.labels
    scores = {"slide_prior": slide_prior(labels[train], cells.groups[train], cells.groups[test])}
    for name, values in cells.domains.items():
        scores[f"domain_prior:{name}"] = domain_prior(labels[train], values[train], values[test])
    scores["test_slide_rate"] = test_slide_rate(labels[test], cells.slides[test])
    return [
        ScoredRow(
            row_id=f"{name}-fold{fold.index}", cell=test, scores=values, threshold=float(labels[train].mean()),
            fold=fold.index, seed=0, key=("control", name),
        )
        for name, values in scores.items()
    ]  # fmt: skip


def _row_entry(cells: CellColumns, row: ResultRow, fold: Fold) -> dict[str, Any]:
    axes = row.axes
    entry = {
        "row_id": axes.row_id,
        "fold": axes.fold,
        "seed": axes.seed,
        "fraction": axes.fraction,
        "perturbed": axes.perturbed,
        "status": row.status,
    }
    if row.status != DONE:
        return entry | {"reason": row.reason, "n_test": len(fold.test)}
    groups_of = [len(np.unique(cells.groups[row.train][cells.labels[row.train] == label])) for label in (0, 1)]
    positives = int(cells.labels[row.train].sum())
    return entry | {
        "n_train": len(row.train),
        "n_train_positive": positives,
        "n_test": len(row.test),
        "n_groups_train": len(np.unique(cells.groups[row.train])),
        "n_groups_test": len(np.unique(cells.groups[row.test])),
        "rankable": positives >= RANKABLE_POSITIVES and min(groups_of) >= RANKABLE_GROUPS,
        "threshold": row.threshold,
        "selected": row.selected,
        "converged": row.converged,
        "flags": list(row.flags),
    }


def _metrics(estimates: dict[str, Estimate] | dict[str, MeanEstimate]) -> dict[str, Any]:
    return {name: dataclasses.asdict(estimate) for name, estimate in estimates.items()}


def _basis(basis: Basis) -> dict[str, Any]:
    return dataclasses.asdict(basis)
