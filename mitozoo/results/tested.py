"""What a stored run says of its test cells: the fits of one label fraction, and each cell's score over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.errors import DataError
from mitozoo.results.run_reader import TestedFit, finished_entries, read_checked, read_fits
from mitozoo.results.tables import CELLS, KEPT, read_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

#: What became of a cell, by its label and what it was called.
OUTCOMES = {(1, 1): "true positive", (0, 1): "false positive", (1, 0): "missed", (0, 0): "true negative"}
MAJORITY = 0.5  # of its fits from which on a cell is called positive


@dataclass(frozen=True, eq=False)
class TestedRun:
    """A run's test rows of one label fraction.

    Attributes:
        document: the result document.
        cells: the run's cell table.
        fits: those that were asked for, on untouched cells.
        fraction: of the training labels.
    """

    __test__ = False  # no test case, whatever pytest thinks of its name

    document: dict[str, Any]
    cells: pd.DataFrame
    fits: tuple[TestedFit, ...]
    fraction: float

    def by_cell(self) -> pd.DataFrame:
        """Return the cell table's rows of all tested cells, and what the fits say of each.

        Added columns: score (mean over fits), threshold (mean over fits), fits, called (share of fits whose score is at
        or above their threshold), predicted (1 where at least half of the fits call it positive) and outcome, one of
        `OUTCOMES`.
        """
        n = len(self.cells)
        place = np.concatenate([fit.cell for fit in self.fits])
        score = np.concatenate([fit.scores for fit in self.fits])
        threshold = np.repeat([fit.threshold for fit in self.fits], [len(fit.cell) for fit in self.fits])
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
    document = read_checked(folder)
    entries, fraction = _wanted(document, folder.name, fraction, seed)
    cells = read_table(folder / CELLS, KEPT)
    return TestedRun(document, cells, read_fits(folder, entries, cells["cell_id"]), fraction)


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
