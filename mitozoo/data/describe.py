"""What a dataset holds, counted from its label files alone, and which of its images are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitozoo.data.annotations.raw import fill_template, template_parts
from mitozoo.data.cells import read_every_cell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from mitozoo.data.annotations import RawCells
    from mitozoo.plugins.specs import DatasetSpec

KINDS = ("positive", "hard", "other", "ignored")
LISTED = 5


def describe_dataset(spec: DatasetSpec, root: Path) -> dict[str, Any]:
    """Return plain JSON values; no image is opened.

    Raises:
        DataError: a label file, a row or a value is not what it must be.
    """
    raw, table = read_every_cell(spec, root)
    images = _images(spec, raw, table)
    task = table[table["kind"].isin(["positive", "hard"])]
    by_group = task[task["group"] != ""].groupby("group")["label"].agg(["size", "sum"])
    return {
        "dataset": spec.name,
        "source": raw.source,
        "positive_class": spec.positive_class,
        "negative_class": spec.negative_class,
        "not_for_eval": spec.not_for_eval,
        "cells": {"total": len(table)} | _kinds(table),
        "votes": _votes(table),
        "images": _present(root, images),
        "groups": {
            "level": spec.group,
            "total": len(by_group),
            "with_one_class": int(((by_group["sum"] == 0) | (by_group["sum"] == by_group["size"])).sum()),
            "largest_share": round(float(by_group["size"].max() / len(task)), 3) if len(by_group) else None,
        },
        "split": {side or "neither": _counts(part, images) for side, part in _parts(table, "split") if _has_split(table)},
        "domains": {
            name: {
                value: _counts(part, images)
                | {side: _counts(half, images) for side, half in _parts(part, "split") if side in ("train", "test")}
                for value, part in _parts(table, f"domain_{name}")
            }
            for name in spec.domains
        },
    }


def _kinds(table: pd.DataFrame) -> dict[str, int]:
    """Return how many cells there are of each kind."""
    counted = table["kind"].value_counts()
    return {kind: int(counted.get(kind, 0)) for kind in KINDS}


def _counts(part: pd.DataFrame, images: Mapping[str, str]) -> dict[str, int]:
    """Return the images that hold cells of a part of the table, its groups, and its cells by kind."""
    slides = part["slide"] if len(images) else part["file"]
    return {"images": int(slides.nunique()), "groups": int(part["group"].nunique())} | _kinds(part)


def _parts(table: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    return [(str(value), part) for value, part in table.groupby(column, sort=True)]


def _has_split(table: pd.DataFrame) -> bool:
    return bool((table["split"] != "").any())
