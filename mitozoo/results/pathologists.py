"""What pathologists ask of a run: how it stands beside experts who voted, and how well it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitozoo.results.candidate_count import candidate_count
from mitozoo.results.experts import vote_parts
from mitozoo.results.row import DONE
from mitozoo.results.scoring import temperature_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from mitozoo.data.splits import Fold
    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.results.cell_columns import CellColumns
    from mitozoo.results.row import ResultRow


def stated_by(specs: Sequence[DatasetSpec]) -> dict[str, Any]:
    """Return what a result document's 'dataset' keeps of classes, votes and areas; joined datasets have no area."""
    [spec] = specs if len(specs) == 1 else [None]
    return {
        "positive_class": specs[0].positive_class,  # the same of all, else they could not be joined
        "voters": spec.voters if spec else 0,
        "independent_votes": bool(spec and spec.independent_votes),
        "region_mm2": spec.region_mm2 if spec else None,
    }


def pathologists_parts(
    cells: CellColumns, votes: pd.Series[Any], folds: Sequence[Fold], rows: Sequence[ResultRow], dataset: dict[str, Any]
) -> dict[str, Any]:
    """Return the parts 'agreement', 'experts' and 'candidate_count' of a result document.

    Args:
        cells: the run's cells.
        votes: (n,) lists of 0 and 1.
        folds: its outer folds.
        rows: all its rows.
        dataset: the document's 'dataset', with what `stated_by` says.
    """
    fits = [
        row for row in rows
        if row.status == DONE and not row.axes.perturbed and folds[row.axes.fold].reference_for is None
    ]  # fmt: skip
    counted = None
    if "atypical" not in dataset["positive_class"]:  # nobody counts figures of one kind alone
        temperatures = {row.axes: temperature_of(cells, row) for row in fits}
        counted = candidate_count(cells, folds, fits, temperatures, dataset.get("region_mm2"))
    return vote_parts(cells, votes, fits, dataset) | {"candidate_count": counted}
