"""The candidate count of a run: per region of the test side, by threshold and by the sum of probabilities."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.errors import DataError
from mitozoo.statistics.calibration import at_temperature
from mitozoo.statistics.candidate_count import log_agreement, region_counts, require_whole_regions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mitozoo.data.splits import Fold
    from mitozoo.results.cell_columns import CellColumns
    from mitozoo.results.row import Axes, ResultRow

NOTE = "candidate count, best case: only annotated candidates were classified"


def candidate_count(
    cells: CellColumns, folds: Sequence[Fold], fits: Sequence[ResultRow], temperatures: Mapping[Axes, float],
    region_mm2: float | None,
) -> dict[str, Any] | None:  # fmt: skip
    """Return the part 'candidate_count' of a result document; None where nothing was tested.

    A region is a slide. 'thresholded' counts the cells called positive, 'summed' adds up the probabilities after the
    temperature; both are compared with the labels over all test slides of a seed, and averaged over seeds.

    Args:
        cells: the run's cells.
        folds: its outer folds.
        fits: finished fits on untouched cells; those of the largest label fraction are counted.
        temperatures: of each fit.
        region_mm2: area of each region; None where the dataset does not know it.
    """
    if not fits:
        return None
    largest = max(row.axes.fraction for row in fits)
    rows = [row for row in fits if row.axes.fraction == largest]
    try:
        for fold in {row.axes.fold for row in rows}:
            require_whole_regions(cells.slides, folds[fold].train, folds[fold].test, cells.slide_names)
    except DataError as error:
        return {"note": NOTE, "refused": error.message}
    by_seed = [
        _of_seed(cells, [row for row in rows if row.axes.seed == seed], temperatures)
        for seed in sorted({row.axes.seed for row in rows})
    ]
    return {
        "note": NOTE,
        "fraction": largest,
        "area_mm2": region_mm2,
        "true": by_seed[0]["true"],
        "counters": {
            name: {key: _mean([each[name][key] for each in by_seed]) for key in ("bias", "limit_low", "limit_high")}
            for name in ("thresholded", "summed")
        },
    }


def _of_seed(
    cells: CellColumns, rows: Sequence[ResultRow], temperatures: Mapping[Axes, float]
) -> dict[str, dict[str, Any]]:
    true, called, chances = (
        np.concatenate([region_counts(cells.slides[row.test], each(row)) for row in rows])  # a fold's own regions
        for each in (
            lambda row: cells.labels[row.test],
            lambda row: row.test_scores >= row.threshold,
            lambda row: at_temperature(row.test_scores, temperatures[row.axes]),
        )
    )
    quartiles = np.quantile(true, [0.25, 0.5, 0.75])
    return {
        "true": {"regions": len(true), "total": int(true.sum()), "quartiles": [float(value) for value in quartiles]},
        "thresholded": dataclasses.asdict(log_agreement(called, true)),
        "summed": dataclasses.asdict(log_agreement(chances, true)),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
