"""Read a stored run to show it: its document, checked, and the fits of one label fraction on their test cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo import storage
from mitozoo.errors import StorageError, VerificationError
from mitozoo.results.row import DONE
from mitozoo.results.run_folder import RESULT, read_document
from mitozoo.results.schema import violations
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS, TEST, positions, read_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd


@dataclass(frozen=True, eq=False)
class TestedFit:
    """One fit on its test cells.

    Attributes:
        place: its label fraction, fold and seed.
        cell: (m,) rows of the run's cell table.
        scores: (m,) of these cells.
        threshold: from where on a score is called positive.
    """

    __test__ = False  # no test case, whatever pytest thinks of its name

    place: tuple[float, int, int]
    cell: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    threshold: float


def read_checked(folder: Path) -> dict[str, Any]:
    """Return a run's document once its schema and the sha256 of its tables are right; numbers are not recomputed."""
    document, hint = read_document(folder / RESULT), f"See what else is wrong: mitozoo verify {folder}"
    if found := violations(document):
        raise VerificationError(f"{folder.name}: {RESULT} breaks its schema: {found[0]}", hint=hint)
    for name in (CELLS, SPLITS, PREDICTIONS):
        if not (folder / name).is_file():
            raise StorageError(f"{folder.name}: {name} is missing", hint=hint)
        if storage.content_id(folder / name) != document["files"].get(name):
            raise VerificationError(f"{folder.name}: {name} has another sha256 than {RESULT} records", hint=hint)
    return document


def read_fits(folder: Path, entries: Sequence[dict[str, Any]], cell_ids: pd.Series[str]) -> tuple[TestedFit, ...]:
    """Return the fits of a document's entries of one label fraction; only their rows of the tables are read.

    Raises:
        StorageError: a table is unreadable.
        VerificationError: the tables do not hold what the entries say.
    """
    if not entries:
        return ()
    fraction, row_ids = entries[0]["fraction"], [entry["row_id"] for entry in entries]
    splits = read_table(
        folder / SPLITS, ("cell_id", "fold", "seed"), where=[("fraction", "==", fraction), ("role", "==", TEST)],
        no_others=True,
    )  # fmt: skip
    predictions = read_table(folder / PREDICTIONS, ("row_id", "cell_id", "score"), where=[("row_id", "in", row_ids)])
    if not predictions["score"].between(0, 1).all():
        raise VerificationError(f"{PREDICTIONS} holds scores that are no probabilities")
    place_of_test, place_of_score = (positions(table.pop("cell_id"), cell_ids) for table in (splits, predictions))
    if (place_of_test < 0).any() or (place_of_score < 0).any():
        raise VerificationError(f"{SPLITS} or {PREDICTIONS} names cells that are not in {CELLS}")
    tests = splits.groupby(["fold", "seed"], sort=False).indices
    scores = predictions.groupby("row_id", sort=False).indices
    values = predictions["score"].to_numpy(dtype=float)
    fits = []
    for entry in entries:
        test = np.sort(place_of_test[tests.get((entry["fold"], entry["seed"]), [])])
        scored = scores.get(entry["row_id"], np.empty(0, dtype=np.int64))
        by_cell = np.full(len(cell_ids), np.nan)
        by_cell[place_of_score[scored]] = values[scored]
        if len(scored) != np.count_nonzero(~np.isnan(by_cell)):
            raise VerificationError(f"{PREDICTIONS} scores a cell twice in row {entry['row_id']}")
        found = by_cell[test]
        if not len(test) or np.isnan(found).any():
            raise VerificationError(f"{PREDICTIONS} lacks scores of row {entry['row_id']}")
        place = (fraction, entry["fold"], entry["seed"])
        fits.append(TestedFit(place, test.astype(np.int64), found, entry["threshold"]))
    return tuple(fits)


def finished_entries(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of a document's finished rows on untouched cells, those of reference folds left out."""
    further = {fold["fold"] for fold in document.get("folds", ()) if fold["reference_for"] is not None}
    return [
        entry for entry in document["scores"]
        if entry["status"] == DONE and not entry.get("perturbed") and entry["fold"] not in further
    ]  # fmt: skip
