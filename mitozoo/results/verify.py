"""Recompute everything in a result document that its own files determine, and name what differs."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.data.folds import make_folds
from mitozoo.data.splits import Fold, NotEnoughLabels, held_out_parts
from mitozoo.errors import MitozooError, StorageError, VerificationError
from mitozoo.results.agreement import agree, differences, expect
from mitozoo.results.cell_columns import CellColumns
from mitozoo.results.conditions import Conditions
from mitozoo.results.identity import check_identity
from mitozoo.results.image_controls import check_image_controls
from mitozoo.results.pathologists import pathologists_parts
from mitozoo.results.row import DONE, ResultRow, read_row
from mitozoo.results.run_folder import RESULT, ROWS, read_document
from mitozoo.results.schema import violations
from mitozoo.results.scoring import labelled_rows, score, threshold_of
from mitozoo.results.tables import CELLS, KEPT, PREDICTIONS, SPLITS, read_rows, read_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

SHOWN = 5


def verify(folder: Path, *, submitted: bool = False) -> list[str]:
    """Check a run and return what was checked, one line each.

    Args:
        folder: of the run.
        submitted: whether it is part of a submission, which has no files of single rows: the tables alone tell what
            each row scored; and in which no number stands that is not recomputed here.

    Raises:
        VerificationError: something differs; the message names the first differences.
        StorageError: a file is missing or unreadable, or of a schema that this version does not know.
    """
    document = read_document(folder / RESULT)
    if found := violations(document):
        raise VerificationError(f"{folder.name}: {RESULT} breaks its schema: {found[0]}")
    try:
        files = _check_files(folder, document, row_files=not submitted)
        table = read_table(folder / CELLS, KEPT)
        _check_cells(table, document)
        check_identity(document)
        rows = _rows(folder, table, document, row_files=not submitted)
        cells = CellColumns.of(table, Conditions.of(document))
        folds = _check_splits(cells, table, rows, document)
        _check_scores(cells, table, folds, rows, document, exact=submitted)
        image_controls = check_image_controls(folder, cells, rows, document)
    except (VerificationError, StorageError) as error:
        raise type(error)(f"{folder.name}: {error.message}") from error
    except (MitozooError, KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise VerificationError(f"{folder.name}: its files do not fit together: {error}") from error
    done = sum(row.status == DONE for row in rows)
    return [
        f"{files} files have their recorded sha256",
        f"{len(table):,} cells in {document['dataset']['groups']:,} groups are the recorded ones, and the run's id is "
        "made of them, of its model and of its protocol",
        f"{len(folds)} outer folds, {len(rows)} draws of labels and their inner folds are the protocol's own",
        f"{done} thresholds follow from the validation scores",
        "all metrics, intervals, summaries and controls follow from the predictions",
        *image_controls,
    ]


def _check_files(folder: Path, document: dict[str, Any], *, row_files: bool) -> int:
    """Compare the sha256 of each file with the recorded one, and return how many files that were."""
    recorded: dict[str, str] = document["files"]
    expected = {CELLS, SPLITS, PREDICTIONS, *(_row_file(entry) for entry in document["scores"])}
    expect(expected <= recorded.keys(), f"{RESULT} lists no sha256 of {', '.join(sorted(expected - recorded.keys()))}")
    present = recorded if row_files else {name: recorded[name] for name in (CELLS, SPLITS, PREDICTIONS)}
    for name, sha256 in present.items():
        path = folder / name
        expect(path.resolve().is_relative_to(folder.resolve()), f"{RESULT} names a file outside the run: {name}")
        try:
            with path.open("rb") as file:
                measured = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise StorageError(f"{name} is missing or unreadable: {error.strerror}") from error
        expect(measured == sha256, f"{name} has another sha256 than {RESULT} records")
    return len(present)


def _check_cells(table: pd.DataFrame, document: dict[str, Any]) -> None:
    recorded = document["dataset"]
    ids, labels = table["cell_id"], table["label"].to_numpy(dtype=np.int8)
    expect(ids.is_unique and ids.is_monotonic_increasing, f"{CELLS}: its cells are not unique and in order")
    agree("number of cells", len(table), recorded["cells"])
    agree("number of groups", table["group"].nunique(), recorded["groups"])
    counts = {"positive": int(labels.sum()), "negative": int(len(labels) - labels.sum())}
    undivided = table.groupby("slide", sort=False)["group"].nunique().max() == 1
    expect(bool(undivided), f"{CELLS}: a slide lies in two groups")
    agree("cells in each class", counts, {side: recorded["classes"][side]["cells"] for side in counts})
    digest = hashlib.sha256()
    for row in zip(*(table[name].tolist() for name in ("cell_id", "slide", "group", "label")), strict=True):
        digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    agree("sha256 of cells, slides, groups and labels", digest.hexdigest(), recorded["cells_sha256"])


def _rows(folder: Path, table: pd.DataFrame, document: dict[str, Any], *, row_files: bool) -> list[ResultRow]:
    """Return the rows as the tables tell them, each equal to its own file where that is there."""
    entries = document["scores"]
    rows = read_rows(folder, table["cell_id"], entries)
    for row, entry in zip(rows, entries, strict=True):
        agree("row_id", row.axes.row_id, entry["row_id"])
        if not row_files:
            continue
        own = read_row(folder / _row_file(entry))
        for name in ("axes", "status", "reason", "threshold", "selected", "converged", "flags"):
            agree(f"{name} of {entry['row_id']}", getattr(own, name), getattr(row, name))
        for name in ("train", "test", "test_scores", "validation_scores"):
            same = np.array_equal(getattr(own, name), getattr(row, name))
            expect(same, f"{name.replace('_', ' ')} of {entry['row_id']} differ between its file and the tables")
    expect(len({row.axes for row in rows}) == len(rows), f"{RESULT} holds a row twice")
    held = {(axes.fraction, axes.seed, axes.fold) for axes in (row.axes for row in rows)}
    for fraction, seed, fold in sorted(held):  # seeds count from 0 and folds from the first: none may be picked out
        before = [(fraction, seed - 1, fold)] * (seed > 0) + [(fraction, seed, fold - 1)] * (fold > 0)
        for absent in set(before) - held:
            expect(False, f"the row of fraction {absent[0]:g}, seed {absent[1]}, fold {absent[2]} was left out")
    return rows


def _check_splits(
    cells: CellColumns, table: pd.DataFrame, rows: Sequence[ResultRow], document: dict[str, Any]
) -> list[Fold]:
    """Repeat the outer folds, the draws of labels, the inner folds and the thresholds."""
    parameters = document["protocol"]["parameters"]
    official = table["split"].to_numpy(dtype=np.str_)
    recipe = cells.conditions.recipe(parameters)
    folds = make_folds(cells.labels, cells.groups, official, cells.domains, recipe, cells.group_names)
    own = {fold.index for fold in folds if fold.reference_for is None}
    tested = own & {row.axes.fold for row in rows}
    words = f"{len(tested)} of {len(own)} folds"
    marked = words in document["marks"]
    expect(marked == (len(tested) < len(own)), f"{words} were tested, and the marks say otherwise")
    chosen = {row.axes: row.threshold for row in rows}
    for row in rows:
        _check_draw(cells, folds[row.axes.fold], row, parameters)
        if row.axes.perturbed:  # it chooses nothing: its threshold is that of its fit
            agree(f"threshold of {row.axes.row_id}", chosen[row.axes.fit], row.threshold)
        if row.status == DONE and not row.axes.perturbed:
            agree(f"threshold of {row.axes.row_id}", threshold_of(cells, row), row.threshold)
    return folds


def _check_draw(cells: CellColumns, fold: Fold, row: ResultRow, parameters: dict[str, Any]) -> None:
    name = row.axes.row_id
    try:
        drawn = labelled_rows(cells.labels, cells.groups, fold.train, row.axes, parameters["fraction_of"])
    except NotEnoughLabels as reason:
        agree(f"status of {name}", f"skipped: {reason}", f"{row.status}: {row.reason}")
        return
    agree(f"status of {name}", DONE, row.status)
    expect(np.array_equal(row.test, fold.test), f"test cells of {name} are not the protocol's")
    expect(np.array_equal(row.train, drawn), f"training cells of {name} are not the protocol's")
    if row.axes.perturbed:
        return
    labels = cells.trained_labels(row.axes.seed)
    parts = held_out_parts(
        labels, cells.groups, drawn, kind=parameters["kind"], folds=parameters["inner_folds"],
        seed=parameters["split_seed"],
    )  # fmt: skip
    same = len(parts) == len(row.inner_parts) and all(map(np.array_equal, parts, row.inner_parts))
    expect(same, f"inner folds of {name} are not the protocol's")


def _check_scores(
    cells: CellColumns, table: pd.DataFrame, folds: Sequence[Fold], rows: Sequence[ResultRow], document: dict[str, Any],
    *, exact: bool,
) -> None:  # fmt: skip
    asked = pathologists_parts(cells, table["votes"], folds, rows, document["dataset"])
    computed = score(cells, folds, rows) | asked
    recorded = {part: document[part] for part in computed if part in document}
    if found := list(differences(computed, recorded, exact=exact)):
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise VerificationError(f"{'; '.join(found[:SHOWN])}{more}")


def _row_file(entry: dict[str, Any]) -> str:
    return f"{ROWS}/{entry['row_id']}.safetensors"
