"""Compare two runs on the cells that both tested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitozoo.errors import DataError
from mitozoo.results.row import DONE
from mitozoo.results.run_folder import RESULT, read_document
from mitozoo.results.scoring import CellColumns
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS, read_table, rows_from_tables
from mitozoo.statistics.comparison import Difference, paired_differences
from mitozoo.statistics.estimates import ScoredRow

if TYPE_CHECKING:
    from pathlib import Path


def compare(first: Path, second: Path, *, replicates: int = 9999) -> tuple[dict[str, Difference], dict[str, Any]]:
    """Return each metric's paired difference (first minus second), and what it rests on.

    The rows are those of the largest label fraction, folds and seeds that both runs have.

    Raises:
        DataError: the runs were not tested on the same cells.
    """
    documents = [read_document(folder / RESULT) for folder in (first, second)]
    if documents[0]["dataset"]["cells_sha256"] != documents[1]["dataset"]["cells_sha256"]:
        raise DataError(
            f"{first.name} and {second.name} have different cells, groups or labels, so no difference is paired",
            hint="Compare runs of one dataset, with the same --negatives and --limit.",
        )
    scored = [_scored_rows(folder, document) for folder, document in zip((first, second), documents, strict=True)]
    shared = scored[0].keys() & scored[1].keys()
    if not shared:
        raise DataError(f"{first.name} and {second.name} share no label fraction, fold and seed")
    fraction = max(at[0] for at in shared)
    kept = sorted(at for at in shared if at[0] == fraction)
    cells = CellColumns.of(read_table(first / CELLS, ()))
    try:
        differences = paired_differences(
            [scored[0][at] for at in kept], [scored[1][at] for at in kept], cells.labels, cells.groups, cells.slides,
            replicates=replicates,
        )  # fmt: skip
    except ValueError as error:
        raise DataError(f"{first.name} and {second.name} cannot be compared: {error}") from error
    basis = {
        "first": documents[0]["model"]["name"], "second": documents[1]["model"]["name"],
        "protocols": [document["protocol"]["name"] for document in documents],
        "fraction": fraction, "folds": len({at[1] for at in kept}), "seeds": len({at[2] for at in kept}),
        "replicates": replicates,
    }  # fmt: skip
    return differences, basis


def _scored_rows(folder: Path, document: dict[str, Any]) -> dict[tuple[float, int, int], ScoredRow]:
    cell_ids = read_table(folder / CELLS, ("cell_id",))["cell_id"]
    splits = read_table(folder / SPLITS, ("cell_id", "fold", "seed", "fraction", "role"))
    predictions = read_table(folder / PREDICTIONS, ("row_id", "cell_id", "score"))
    rows = rows_from_tables(cell_ids, splits, predictions, document["scores"])
    return {
        (row.axes.fraction, row.axes.fold, row.axes.seed): ScoredRow(
            row_id=row.axes.row_id, cell=row.test, scores=row.test_scores, threshold=row.threshold, fold=row.axes.fold,
            seed=row.axes.seed, key=(row.axes.fraction,),
        )
        for row in rows
        if row.status == DONE
    }  # fmt: skip
