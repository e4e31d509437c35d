"""What a stored run says of its test cells: the rows of one label fraction, and each cell's score over its fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo import storage
from mitozoo.errors import DataError, VerificationError
from mitozoo.results.row import DONE
from mitozoo.results.run_folder import RESULT, read_document
from mitozoo.results.schema import violations
from mitozoo.results.tables import CELLS, KEPT, PREDICTIONS, SPLITS, read_table, rows_from_tables

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from mitozoo.results.row import ResultRow

#: What became of a cell, by its label and what it was called.
OUTCOMES = {(1, 1): "true positive", (0, 1): "false positive", (1, 0): "missed", (0, 0): "true negative"}
MAJORITY = 0.5  # of its fits from which on a cell is called positive


@dataclass(frozen=True, eq=False)
class TestedRun:
    """A run's test rows of one label fraction.

    Attributes:
        document: the result document.
        cells: the run's cell table.
        rows: the fits, on untouched cells; positions are those of `cells`.
        fraction: of the training labels.
    """

    __test__ = False  # no test case, whatever pytest thinks of its name

    document: dict[str, Any]
    cells: pd.DataFrame
    rows: tuple[ResultRow, ...]
    fraction: float

    def by_cell(self) -> pd.DataFrame:
        """Return the cell table's rows of all tested cells, and what the fits say of each.

        Added columns: score (mean over fits), threshold (mean over fits), fits, called (share of fits whose score is at
        or above their threshold), predicted (1 where at least half of the fits call it positive) and outcome, one of
        `OUTCOMES`.
        """
        n = len(self.cells)
        place = np.concatenate([row.test for row in self.rows])
        score = np.concatenate([row.test_scores for row in self.rows])
        threshold = np.repeat([row.threshold for row in self.rows], [len(row.test) for row in self.rows])
        fits = np.bincount(place, minlength=n)
        tested = np.flatnonzero(fits)
        told = {
            name: (np.bincount(place, values, minlength=n) / np.maximum(fits, 1))[tested]
            for name, values in (("score", score), ("threshold", threshold), ("called", score >= threshold))
        }
        table = self.cells.iloc[tested].reset_index(drop=True).assign(fits=fits[tested], **told)
        predicted = (table["called"] >= MAJORITY).astype(int)
        both = zip(table["label"].tolist(), predicted.tolist(), strict=True)
        return table.assign(predicted=predicted, outcome=[OUTCOMES[pair] for pair in both])


def read_tested(folder: Path, *, fraction: float | None = None, seed: int | None = None) -> TestedRun:
    """Read a run's test rows; its schema, the sha256 of its tables and their fit are checked.

    Args:
        folder: of the run.
        fraction: of the training labels; None: the largest that the run has.
        seed: None: all seeds.

    Raises:
        DataError: the run has no such row.
        StorageError, VerificationError: it is not what it must be.
    """
    document = read_document(folder / RESULT)
    if found := violations(document):
        raise VerificationError(f"{folder.name}: {RESULT} breaks its schema: {found[0]}")
    for name in (CELLS, SPLITS, PREDICTIONS):
        if storage.content_id(folder / name) != document["files"].get(name):
            raise VerificationError(
                f"{folder.name}: {name} has another sha256 than {RESULT} records",
                hint=f"See what else is wrong: mitozoo verify {folder}",
            )
    entries, fraction = _wanted(document, folder.name, fraction, seed)
    cells = read_table(folder / CELLS, KEPT)
    fits = {(entry["fold"], entry["seed"]) for entry in entries}
    splits = read_table(folder / SPLITS, ("cell_id", "fold", "seed", "role"), where=[("fraction", "==", fraction)])
    of_fit = [pair in fits for pair in zip(splits["fold"], splits["seed"], strict=True)]
    row_ids = [entry["row_id"] for entry in entries]
    predictions = read_table(folder / PREDICTIONS, ("row_id", "cell_id", "score"), where=[("row_id", "in", row_ids)])
    rows = rows_from_tables(cells["cell_id"], splits[of_fit], predictions, entries)
    return TestedRun(document, cells, tuple(rows), fraction)


def finished_entries(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of a document's finished rows on untouched cells, those of reference folds left out."""
    further = {fold["fold"] for fold in document["folds"] if fold["reference_for"] is not None}
    return [
        entry for entry in document["scores"]
        if entry["status"] == DONE and not entry.get("perturbed") and entry["fold"] not in further
    ]  # fmt: skip


def _wanted(
    document: dict[str, Any], run: str, fraction: float | None, seed: int | None
) -> tuple[list[dict[str, Any]], float]:
    """Return the entries of the finished rows that are asked for, and their label fraction."""
    done = finished_entries(document)
    if not done:
        raise DataError(f"{run} has scored no cell: all of its rows were skipped")
    fractions = sorted({entry["fraction"] for entry in done}, reverse=True)
    chosen: float = fractions[0] if fraction is None else fraction
    of_fraction = [entry for entry in done if entry["fraction"] == chosen]
    if not of_fraction:
        raise DataError(f"{run} has no label fraction {chosen:g}", hint=f"It has {_listed(fractions)}.")
    wanted = [entry for entry in of_fraction if seed in (None, entry["seed"])]
    if not wanted:
        there = _listed(sorted({entry["seed"] for entry in of_fraction}))
        raise DataError(f"{run} has no seed {seed} at label fraction {chosen:g}", hint=f"It has {there}.")
    return wanted, chosen


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
