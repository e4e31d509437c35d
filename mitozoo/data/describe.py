"""What a dataset holds, counted from its label files alone, and which of its images are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitozoo.data.cells import read_every_cell

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from mitozoo.data.annotations import RawCells
    from mitozoo.plugins.dataset_spec import DatasetSpec

KINDS = ("positive", "hard", "other", "ignored")
LISTED = 5


def describe_dataset(spec: DatasetSpec, root: Path) -> dict[str, Any]:
    """Return plain JSON values; no image is opened.

    `positive`, `hard`, `other` and `ignored` count cells; `images` counts files that hold cells.

    Raises:
        DataError: a label file, a row or a value is not what it must be.
    """
    raw, table = read_every_cell(spec, root)
    votes = [cell for cell in table["votes"] if len(cell) > 1]
    return {
        "dataset": spec.name,
        "source": raw.source,
        "positive_class": spec.positive_class,
        "negative_class": spec.negative_class,
        "not_for_eval": spec.not_for_eval,
        "cells": len(table),
        "classes": _kinds(table),
        "votes": {"cells": len(votes), "unanimous": sum(len(set(cell)) == 1 for cell in votes)},
        "images": _images(root, raw, table),
        "groups": _groups(spec, table),
        "split": _split(table),
        "domains": {
            name: {value: _counts(part) | {"split": _split(part)} for value, part in _parts(table, f"domain_{name}")}
            for name in spec.domains
        },
    }


def _kinds(table: pd.DataFrame) -> dict[str, int]:
    counted = table["kind"].value_counts()
    return {kind: int(counted.get(kind, 0)) for kind in KINDS}


def _counts(part: pd.DataFrame) -> dict[str, Any]:
    groups = part["group"][part["group"] != ""]
    return {"images": int(part["file"].nunique()), "groups": int(groups.nunique())} | _kinds(part)


def _parts(table: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    return [(str(value), part) for value, part in table.groupby(column, sort=True)]


def _split(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the counts of each side of the official split, nothing where there is none."""
    if not (table["split"] != "").any():
        return {}
    return {side or "neither": _counts(part) for side, part in _parts(table, "split")}


def _images(root: Path, raw: RawCells, table: pd.DataFrame) -> dict[str, Any]:
    """Return how many images the label files name, how many hold cells, and how many lie in the folder."""
    with_cells = dict.fromkeys(table["file"])
    named = {**dict.fromkeys(raw.all_slides()["file"]), **with_cells} if raw.slides else with_cells
    missing = sorted(name for name in named if not (root / name).is_file())
    return {
        "named": len(named),
        "with_cells": len(with_cells),
        "without_cells": len(named) - len(with_cells),
        "present": len(named) - len(missing),
        "missing": len(missing),
        "first_missing": missing[:LISTED],
    }


def _groups(spec: DatasetSpec, table: pd.DataFrame) -> dict[str, Any]:
    """Return how the cells of the task, positives and hard negatives, lie in groups."""
    task = table[table["kind"].isin(["positive", "hard"]) & (table["group"] != "")]
    cells = task.groupby("group")["label"].agg(["size", "sum"])
    one_class = (cells["sum"] == 0) | (cells["sum"] == cells["size"])
    return {
        "level": spec.group,
        "total": len(cells),
        "with_positives": int((cells["sum"] > 0).sum()),
        "with_one_class": int(one_class.sum()),
        "largest_share": round(float(cells["size"].max() / len(task)), 3) if len(cells) else None,
    }
