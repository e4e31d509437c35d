"""The three tables of a run: its cells, its splits, its predictions, and the way back from them to rows."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mitozoo import storage
from mitozoo.errors import StorageError, VerificationError
from mitozoo.results.row import DONE, Axes, ResultRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CELLS, SPLITS, PREDICTIONS = "cells.parquet", "splits.parquet", "predictions.parquet"
KEPT = ("cell_id", "slide", "group", "split", "label", "negative_kind", "votes")
Condition = tuple[str, str, Any]  # column, operator, value
TEST, TRAIN, VALIDATION, INNER = "test", "train", "validation", "inner-"


def cell_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return what a run keeps of its cells: labels, groups, domains and votes; no pixels, no positions."""
    kept = table[[*KEPT, *(name for name in table.columns if name.startswith("domain_"))]]
    return kept.astype(dict.fromkeys(kept.select_dtypes("category"), "str"))


def table_sha256(cells: pd.DataFrame) -> str:
    """Return 64 hex digits over all that a run keeps of its cells, in the order of their names.

    These are label, slide, group, side of the official split, kind of negative, votes and domains: what a dataset's
    plugin ships as `DatasetSpec.table_sha256`, so that changed labels are found where no label file may be shown.
    """
    kept = cell_table(cells.sort_values("cell_id", kind="stable"))
    columns = {name: kept[name].tolist() for name in sorted(kept.columns)}
    columns["votes"] = [[int(vote) for vote in votes] for votes in columns["votes"]]
    return hashlib.sha256(json.dumps(columns, ensure_ascii=False).encode()).hexdigest()


def split_table(cell_ids: pd.Series[str], rows: Sequence[ResultRow]) -> pd.DataFrame:
    """Return each fit's cells with their role: 'inner-K' (held out in turn), 'validation', 'train' or 'test'."""
    parts: list[pd.DataFrame] = []
    for row in rows:
        if row.axes.perturbed:  # a fit of its own it is not
            continue
        role = np.full(len(cell_ids), "", dtype=object)
        role[row.train] = TRAIN
        for index, part in enumerate(row.inner_parts):
            role[part] = VALIDATION if len(row.inner_parts) == 1 else f"{INNER}{index}"
        role[row.test] = TEST
        used = np.flatnonzero(role != "")
        parts.append(
            pd.DataFrame(
                {
                    "cell_id": cell_ids.array[used],
                    "fold": row.axes.fold,
                    "seed": row.axes.seed,
                    "fraction": row.axes.fraction,
                    "role": pd.array(role[used], dtype="str"),
                }
            )
        )
    columns = {"cell_id": "str", "fold": "int64", "seed": "int64", "fraction": "float64", "role": "str"}
    return pd.concat(parts, ignore_index=True).astype(columns) if parts else pd.DataFrame(columns=list(columns))


def prediction_table(cell_ids: pd.Series[str], rows: Sequence[ResultRow]) -> pd.DataFrame:
    """Return (row_id, cell_id, score) of every validation and test cell."""
    done = [row for row in rows if row.status == DONE]
    scored = [(row, np.concatenate([*row.inner_parts, row.test])) for row in done]
    row_ids = pd.array([row.axes.row_id for row, _ in scored], dtype="str")
    return pd.DataFrame(
        {
            "row_id": row_ids.repeat([len(cells) for _, cells in scored]),
            "cell_id": cell_ids.array[np.concatenate([cells for _, cells in scored] or [np.empty(0, int)])],
            "score": np.concatenate(
                [s for row in done for s in (row.validation_scores, row.test_scores)] or [np.empty(0)]
            ),
        }
    ).astype({"row_id": "str", "cell_id": "str", "score": "float64"})


def read_rows(folder: Path, cell_ids: pd.Series[str], entries: Sequence[dict[str, Any]]) -> list[ResultRow]:
    """Return the rows of a result document's entries as the tables in its folder tell them; see `rows_from_tables`.

    Raises:
        StorageError: a table is missing or unreadable.
    """
    splits = read_table(folder / SPLITS, ("cell_id", "fold", "seed", "fraction", "role"))
    predictions = read_table(folder / PREDICTIONS, ("row_id", "cell_id", "score"))
    return rows_from_tables(cell_ids, splits, predictions, entries)


def rows_from_tables(
    cell_ids: pd.Series[str], splits: pd.DataFrame, predictions: pd.DataFrame, entries: Sequence[dict[str, Any]]
) -> list[ResultRow]:
    """Rebuild the rows of a result document's entries from its tables.

    Raises:
        VerificationError: the tables name a cell or a row that is not there, or lack scores.
    """
    position = pd.Series(np.arange(len(cell_ids)), index=cell_ids)
    by_axes = dict(tuple(splits.groupby(["fold", "seed", "fraction"], sort=False)))
    by_row = dict(tuple(predictions.groupby("row_id", sort=False)))
    done = [entry for entry in entries if entry["status"] == DONE]
    if set(by_row) != {entry["row_id"] for entry in done}:
        raise VerificationError(f"{PREDICTIONS} and result.json do not name the same rows")
    if set(by_axes) != {(entry["fold"], entry["seed"], entry["fraction"]) for entry in done}:
        raise VerificationError(f"{SPLITS} and result.json do not name the same rows")
    if not predictions["score"].between(0, 1).all():
        raise VerificationError(f"{PREDICTIONS} holds scores that are no probabilities")
    rows = []
    for entry in entries:
        axes = Axes(entry["fold"], entry["seed"], entry["fraction"], entry.get("perturbed", ""))
        if entry["status"] != DONE:
            rows.append(ResultRow(axes, entry["status"], entry["reason"]))
            continue
        try:
            split = by_axes[(axes.fold, axes.seed, axes.fraction)]
            cells = position.loc[split["cell_id"]].to_numpy(dtype=np.int64)
            scored = by_row[axes.row_id]
            scores = pd.Series(scored["score"].to_numpy(dtype=float), index=scored["cell_id"].tolist())
            if not scores.index.is_unique:
                raise VerificationError(f"row {axes.row_id} scores a cell twice")
            role = split["role"].to_numpy(dtype=np.str_)
            parts = () if axes.perturbed else tuple(np.sort(cells[role == name]) for name in _part_names(role))
            test = np.sort(cells[role == TEST])
            held_out = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
            if len(scores) != len(held_out) + len(test):
                raise VerificationError(
                    f"row {axes.row_id} has {len(scores)} scores for {len(held_out) + len(test)} cells"
                )
            rows.append(
                ResultRow(
                    axes=axes, status=DONE, train=np.sort(cells[role != TEST]), inner_parts=parts, test=test,
                    test_scores=scores.loc[cell_ids.iloc[test]].to_numpy(dtype=float),
                    validation_scores=scores.loc[cell_ids.iloc[held_out]].to_numpy(dtype=float),
                    threshold=entry["threshold"], selected=entry["selected"], converged=entry["converged"],
                    flags=tuple(entry["flags"]),
                )
            )  # fmt: skip
        except (KeyError, ValueError) as error:
            raise VerificationError(f"the tables of row {axes.row_id} do not fit together: {error}") from error
    return rows


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a Parquet file whole; equal tables give equal bytes."""
    with storage.write_whole(path) as unfinished:
        table.to_parquet(unfinished, index=False, compression="zstd")


def read_table(
    path: Path, columns: Sequence[str], *, where: Sequence[Condition] | None = None, no_others: bool = False
) -> pd.DataFrame:
    """Read a Parquet file that must hold these columns.

    Args:
        path: the file.
        columns: that must be there.
        no_others: read these alone; else all that are there are read.
        where: only rows that meet all these conditions, such as ('fraction', '==', 1.0).

    Raises:
        StorageError: it is missing or unreadable, or lacks one.
    """
    try:
        only, filters = list(columns) if no_others else None, None if where is None else list(where)
        table = pd.read_parquet(path, columns=only, filters=filters)
    except (OSError, ValueError) as error:
        raise StorageError(f"{path.name} is missing or damaged: {error}") from error
    if absent := set(columns) - set(table.columns):
        raise StorageError(f"{path.name} has no column {', '.join(sorted(absent))}")
    return table


def positions(names: pd.Series[str], of: pd.Series[str]) -> npt.NDArray[np.int64]:
    """Return (n,) the place of each name among the distinct names `of`; -1 where it is none of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pa.array(of, pa.large_string())
    found = pc.index_in(pa.array(names, pa.large_string()), value_set=known)
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)


def _part_names(role: Any) -> list[str]:
    found = set(np.unique(role))
    if VALIDATION in found:
        return [VALIDATION]
    inner = [name for name in found if name.startswith(INNER)]
    return sorted(inner, key=lambda name: int(name.removeprefix(INNER)))
