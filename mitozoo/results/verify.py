"""Recompute everything in a result document that its own files determine, and name what differs."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.data.splits import NotEnoughLabels, draw, inner_folds, outer_folds
from mitozoo.errors import VerificationError
from mitozoo.plugins.record import canonical_json
from mitozoo.results.row import DONE, ResultRow
from mitozoo.results.run_folder import RESULT, read_document
from mitozoo.results.scoring import CellColumns, score, threshold_of
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS, read_table, rows_from_tables

if TYPE_CHECKING:
    from pathlib import Path

TOLERANCE = 1e-9
SHOWN = 5


def verify(folder: Path) -> list[str]:
    """Check a run and return what was checked, one line each.

    Raises:
        VerificationError: something differs; the message names the first differences.
    """
    document = read_document(folder / RESULT)
    _check_schema(document)
    _check_files(folder, document)
    table = read_table(folder / CELLS, ())
    _expect(table["cell_id"].is_unique and table["cell_id"].is_monotonic_increasing, f"{CELLS}: cells out of order")
    _check_cells(table, document)
    cells = CellColumns.of(table)
    splits = read_table(folder / SPLITS, ("cell_id", "fold", "seed", "fraction", "role"))
    predictions = read_table(folder / PREDICTIONS, ("row_id", "cell_id", "score"))
    rows = rows_from_tables(table["cell_id"], splits, predictions, document["scores"])

    protocol = document["protocol"]
    parameters = protocol["parameters"]
    essence = canonical_json({"version": protocol["version"]} | parameters)
    _expect(hashlib.sha256(essence.encode()).hexdigest() == protocol["hash"], "hash of the protocol")
    folds = outer_folds(
        cells.labels, cells.groups, table["split"].to_numpy(dtype=np.str_), recipe=parameters["split"],
        folds=parameters["outer_folds"], seed=parameters["split_seed"],
    )  # fmt: skip
    for row in rows:
        _check_split(cells, folds[row.axes.fold].train, folds[row.axes.fold].test, row, parameters)
        if row.status == DONE:
            _expect(_same(threshold_of(cells, row), row.threshold), f"threshold of {row.axes.row_id}")
    differences = list(_differences(score(cells, folds, rows), document, ""))
    if differences:
        more = f" and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        raise VerificationError(f"{folder.name}: recomputed values differ: {'; '.join(differences[:SHOWN])}{more}")
    return [
        f"{len(document['files'])} files have their recorded sha256",
        f"{len(table):,} cells in {len(np.unique(cells.groups)):,} groups are the recorded ones",
        f"{len(folds)} outer folds, {len(rows)} draws of labels and their inner folds are the protocol's own",
        f"{len(rows)} thresholds follow from the validation scores",
        "all metrics, intervals, summaries and controls follow from the predictions",
    ]


def _check_schema(document: dict[str, Any]) -> None:
    from mitozoo.results.schema import violations

    found = violations(document)
    if found:
        raise VerificationError(f"{RESULT} breaks its schema: {found[0]}")


def _check_files(folder: Path, document: dict[str, Any]) -> None:
    for name, expected in document["files"].items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise VerificationError(f"{RESULT} names a file outside the run: {name}")
        if not path.is_file():
            raise VerificationError(f"{name} is missing")
        with path.open("rb") as file:
            _expect(hashlib.file_digest(file, "sha256").hexdigest() == expected, f"sha256 of {name}")


def _check_cells(table: Any, document: dict[str, Any]) -> None:
    recorded = document["dataset"]
    labels, groups = table["label"].to_numpy(), table["group"].to_numpy()
    _expect(len(table) == recorded["cells"], f"number of cells: {len(table)} in {CELLS}, {recorded['cells']} recorded")
    _expect(len(np.unique(groups)) == recorded["groups"], "number of groups")
    counts = {"positive": int(labels.sum()), "negative": int(len(labels) - labels.sum())}
    digest = hashlib.sha256()
    for row in zip(*(table[name].tolist() for name in ("cell_id", "slide", "group", "label")), strict=True):
        digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    _expect(digest.hexdigest() == recorded["cells_sha256"], "sha256 of the cells")
    _expect(counts == {side: recorded["classes"][side]["cells"] for side in counts}, "number of cells in each class")


def _check_split(cells: CellColumns, train: Any, test: Any, row: ResultRow, parameters: dict[str, Any]) -> None:
    name = row.axes.row_id
    try:
        drawn = draw(
            cells.labels,
            cells.groups,
            train,
            fraction=row.axes.fraction,
            seed=row.axes.seed,
            by=parameters["fraction_of"],
        )
    except NotEnoughLabels as error:
        _expect(row.status != DONE and row.reason == str(error), f"status of {name}")
        return
    _expect(row.status == DONE, f"status of {name}: it can be trained")
    _expect(np.array_equal(row.test, test), f"test cells of {name}")
    _expect(np.array_equal(row.train, drawn), f"training cells of {name}")
    parts = inner_folds(
        cells.labels, cells.groups, drawn, folds=parameters["inner_folds"], seed=parameters["split_seed"]
    )
    if parameters["kind"] != "linear-probe":  # training validates on the first part alone
        parts = parts[:1]
    same = len(parts) == len(row.inner_parts) and all(map(np.array_equal, parts, row.inner_parts))
    _expect(same, f"inner folds of {name}")


def _differences(computed: Any, recorded: Any, where: str) -> Any:
    """Yield where recorded values differ from computed ones; keys that only the record has may be newer."""
    if isinstance(computed, dict) and isinstance(recorded, dict):
        for key, value in computed.items():
            if key not in recorded:
                yield f"{where}{key} is missing"
            else:
                yield from _differences(value, recorded[key], f"{where}{key}.")
    elif isinstance(computed, list | tuple) and isinstance(recorded, list):
        if len(computed) != len(recorded):
            yield f"{where[:-1]} has {len(recorded)} entries, not {len(computed)}"
        else:
            for index, (ours, theirs) in enumerate(zip(computed, recorded, strict=True)):
                yield from _differences(ours, theirs, f"{where}{index}.")
    elif not _same(computed, recorded):
        yield f"{where[:-1]} is recorded as {recorded!r}, recomputed as {computed!r}"


def _same(one: Any, other: Any) -> bool:
    if (
        isinstance(one, bool)
        or isinstance(other, bool)
        or not isinstance(one, int | float)
        or not isinstance(other, int | float)
    ):
        return bool(one == other)
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise VerificationError(f"recomputed, this differs from the record: {what}")
