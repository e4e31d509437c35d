"""Recompute everything in a result document that its own files determine, and name what differs."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.data.folds import make_folds
from mitozoo.data.splits import Fold, NotEnoughLabels, held_out_parts
from mitozoo.errors import MitozooError, StorageError, VerificationError
from mitozoo.plugins.record import canonical_json
from mitozoo.results.conditions import Conditions
from mitozoo.results.image_controls import check_image_controls
from mitozoo.results.pathologists import pathologists_parts
from mitozoo.results.row import DONE, ResultRow, read_row
from mitozoo.results.run_folder import RESULT, ROWS, read_document, run_id
from mitozoo.results.schema import violations
from mitozoo.results.scoring import CellColumns, labelled_rows, score, threshold_of
from mitozoo.results.tables import CELLS, KEPT, PREDICTIONS, SPLITS, read_table, rows_from_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

TOLERANCE = 1e-9
SHOWN = 5


def verify(folder: Path) -> list[str]:
    """Check a run and return what was checked, one line each.

    Raises:
        VerificationError: something differs; the message names the first differences.
        StorageError: a file is missing or unreadable, or of a schema that this version does not know.
    """
    document = read_document(folder / RESULT)
    if found := violations(document):
        raise VerificationError(f"{folder.name}: {RESULT} breaks its schema: {found[0]}")
    try:
        _check_files(folder, document)
        table = read_table(folder / CELLS, KEPT)
        _check_cells(table, document)
        _check_identity(document)
        rows = _rows(folder, table, document)
        cells = CellColumns.of(table, Conditions.of(document))
        folds = _check_splits(cells, table, rows, document)
        _check_scores(cells, table, folds, rows, document)
        image_controls = check_image_controls(folder, cells, rows, document)
    except (VerificationError, StorageError) as error:
        raise type(error)(f"{folder.name}: {error.message}") from error
    except (MitozooError, KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise VerificationError(f"{folder.name}: its files do not fit together: {error}") from error
    done = sum(row.status == DONE for row in rows)
    return [
        f"{len(document['files'])} files have their recorded sha256",
        f"{len(table):,} cells in {document['dataset']['groups']:,} groups are the recorded ones, and the run's id is "
        "made of them, of its model and of its protocol",
        f"{len(folds)} outer folds, {len(rows)} draws of labels and their inner folds are the protocol's own",
        f"{done} thresholds follow from the validation scores",
        "all metrics, intervals, summaries and controls follow from the predictions",
        *image_controls,
    ]


def _check_files(folder: Path, document: dict[str, Any]) -> None:
    recorded: dict[str, str] = document["files"]
    expected = {CELLS, SPLITS, PREDICTIONS, *(_row_file(entry) for entry in document["scores"])}
    _expect(expected <= recorded.keys(), f"{RESULT} lists no sha256 of {', '.join(sorted(expected - recorded.keys()))}")
    for name, sha256 in recorded.items():
        path = folder / name
        _expect(path.resolve().is_relative_to(folder.resolve()), f"{RESULT} names a file outside the run: {name}")
        try:
            with path.open("rb") as file:
                measured = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise StorageError(f"{name} is missing or unreadable: {error.strerror}") from error
        _expect(measured == sha256, f"{name} has another sha256 than {RESULT} records")


def _check_cells(table: pd.DataFrame, document: dict[str, Any]) -> None:
    recorded = document["dataset"]
    ids, labels = table["cell_id"], table["label"].to_numpy(dtype=np.int8)
    _expect(ids.is_unique and ids.is_monotonic_increasing, f"{CELLS}: its cells are not unique and in order")
    _agree("number of cells", len(table), recorded["cells"])
    _agree("number of groups", table["group"].nunique(), recorded["groups"])
    counts = {"positive": int(labels.sum()), "negative": int(len(labels) - labels.sum())}
    _agree("cells in each class", counts, {side: recorded["classes"][side]["cells"] for side in counts})
    digest = hashlib.sha256()
    for row in zip(*(table[name].tolist() for name in ("cell_id", "slide", "group", "label")), strict=True):
        digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    _agree("sha256 of cells, slides, groups and labels", digest.hexdigest(), recorded["cells_sha256"])


def _check_identity(document: dict[str, Any]) -> None:
    """Compare the run's id with what it is made of, and that with the rest of the document."""
    protocol, identity = document["protocol"], document["identity"]
    essence = canonical_json({"version": protocol["version"]} | protocol["parameters"])
    _agree("hash of the protocol's parameters", hashlib.sha256(essence.encode()).hexdigest(), protocol["hash"])
    parts = {
        "model": document["model"]["fingerprint"], "weights": document["model"]["weights_sha256"],
        "dataset": document["dataset"]["fingerprint"], "cells": document["dataset"]["cells_sha256"],
        "negatives": document["dataset"]["negatives"], "protocol": protocol["hash"],
        "precision": document["precision"], "conditions": document["conditions"],
    }  # fmt: skip
    for name, value in parts.items():
        _agree(f"{name} in the run's identity", value, identity[name])
    _agree("run_id", run_id(identity), document["run_id"])


def _rows(folder: Path, table: pd.DataFrame, document: dict[str, Any]) -> list[ResultRow]:
    """Return the rows as the tables tell them, each equal to its own file."""
    splits = read_table(folder / SPLITS, ("cell_id", "fold", "seed", "fraction", "role"))
    predictions = read_table(folder / PREDICTIONS, ("row_id", "cell_id", "score"))
    entries = document["scores"]
    rows = rows_from_tables(table["cell_id"], splits, predictions, entries)
    for row, entry in zip(rows, entries, strict=True):
        _agree("row_id", row.axes.row_id, entry["row_id"])
        own = read_row(folder / _row_file(entry))
        for name in ("axes", "status", "reason", "threshold", "selected", "converged", "flags"):
            _agree(f"{name} of {entry['row_id']}", getattr(own, name), getattr(row, name))
        for name in ("train", "test", "test_scores", "validation_scores"):
            same = np.array_equal(getattr(own, name), getattr(row, name))
            _expect(same, f"{name.replace('_', ' ')} of {entry['row_id']} differ between its file and the tables")
    _expect(len({row.axes for row in rows}) == len(rows), f"{RESULT} holds a row twice")
    held = {(axes.fraction, axes.seed, axes.fold) for axes in (row.axes for row in rows)}
    for fraction, seed, fold in sorted(held):  # seeds count from 0 and folds from the first: none may be picked out
        before = [(fraction, seed - 1, fold)] * (seed > 0) + [(fraction, seed, fold - 1)] * (fold > 0)
        for absent in set(before) - held:
            _expect(False, f"the row of fraction {absent[0]:g}, seed {absent[1]}, fold {absent[2]} was left out")
    return rows


def _check_splits(
    cells: CellColumns, table: pd.DataFrame, rows: Sequence[ResultRow], document: dict[str, Any]
) -> list[Fold]:
    """Repeat the outer folds, the draws of labels, the inner folds and the thresholds."""
    parameters = document["protocol"]["parameters"]
    official = table["split"].to_numpy(dtype=np.str_)
    folds = make_folds(cells.labels, cells.groups, official, cells.domains, cells.conditions.recipe(parameters))
    own = {fold.index for fold in folds if fold.reference_for is None}
    tested = own & {row.axes.fold for row in rows}
    words = f"{len(tested)} of {len(own)} folds"
    marked = words in document["marks"]
    _expect(marked == (len(tested) < len(own)), f"{words} were tested, and the marks say otherwise")
    chosen = {row.axes: row.threshold for row in rows}
    for row in rows:
        _check_draw(cells, folds[row.axes.fold], row, parameters)
        if row.axes.perturbed:  # it chooses nothing: its threshold is that of its fit
            _agree(f"threshold of {row.axes.row_id}", chosen[row.axes.fit], row.threshold)
        if row.status == DONE and not row.axes.perturbed:
            _agree(f"threshold of {row.axes.row_id}", threshold_of(cells, row), row.threshold)
    return folds


def _check_draw(cells: CellColumns, fold: Fold, row: ResultRow, parameters: dict[str, Any]) -> None:
    name = row.axes.row_id
    try:
        drawn = labelled_rows(cells, fold.train, row.axes, parameters["fraction_of"])
    except NotEnoughLabels as reason:
        _agree(f"status of {name}", f"skipped: {reason}", f"{row.status}: {row.reason}")
        return
    _agree(f"status of {name}", DONE, row.status)
    _expect(np.array_equal(row.test, fold.test), f"test cells of {name} are not the protocol's")
    _expect(np.array_equal(row.train, drawn), f"training cells of {name} are not the protocol's")
    if row.axes.perturbed:
        return
    labels = cells.trained_labels(row.axes.seed)
    parts = held_out_parts(
        labels, cells.groups, drawn, kind=parameters["kind"], folds=parameters["inner_folds"],
        seed=parameters["split_seed"],
    )  # fmt: skip
    same = len(parts) == len(row.inner_parts) and all(map(np.array_equal, parts, row.inner_parts))
    _expect(same, f"inner folds of {name} are not the protocol's")


def _check_scores(
    cells: CellColumns, table: pd.DataFrame, folds: Sequence[Fold], rows: Sequence[ResultRow], document: dict[str, Any]
) -> None:
    asked = pathologists_parts(cells, table["votes"], folds, rows, document["dataset"])
    differences = list(_differences(score(cells, folds, rows) | asked, document, ""))
    if differences:
        more = f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        raise VerificationError(f"{'; '.join(differences[:SHOWN])}{more}")


def _differences(computed: Any, recorded: Any, where: str) -> Iterator[str]:
    """Yield where recorded values differ from computed ones; keys that only the record has may be newer."""
    if isinstance(computed, dict) and isinstance(recorded, dict):
        for key, value in computed.items():
            if key not in recorded:
                yield f"{where}{key} is missing"
            else:
                yield from _differences(value, recorded[key], f"{where}{key}.")
    elif isinstance(computed, list | tuple) and isinstance(recorded, list | tuple):
        if len(computed) != len(recorded):
            yield f"{where[:-1]} has {len(recorded)} entries, not {len(computed)}"
        else:
            for index, (ours, theirs) in enumerate(zip(computed, recorded, strict=True)):
                yield from _differences(ours, theirs, f"{where}{index}.")
    elif not _same(computed, recorded):
        yield f"{where[:-1]} is recorded as {recorded!r}, recomputed as {computed!r}"


def _same(one: Any, other: Any) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE) if numbers else bool(one == other)


def _agree(what: str, computed: Any, recorded: Any) -> None:
    for difference in _differences(computed, recorded, f"{what}."):
        raise VerificationError(difference)


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise VerificationError(otherwise)


def _row_file(entry: dict[str, Any]) -> str:
    return f"{ROWS}/{entry['row_id']}.safetensors"
