"""A sound dataset of six small images, and readers with one fault each that a check must find."""

from __future__ import annotations

import csv
import itertools
from typing import TYPE_CHECKING

from mitozoo.plugins.crosswalk import Crosswalk
from mitozoo.plugins.dataset_spec import DatasetSpec
from mitozoo.plugins.formats import CellTable

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "id,slide,case,scanner,side,x,y,label,a,b"
SIDE = 400  # px of every image
LAYOUT = CellTable(
    path="cells.csv", cell_id="{id}", slide="{slide}", file="{slide}.png", x="x", y="y", label="{label}",
    case="{case}", votes=("a", "b"),
)  # fmt: skip


def rows() -> list[list[str]]:
    """Return four cells on each of six slides, two slides a case."""
    return [
        [
            f"c{slide}{place}", f"s{slide}", f"p{slide // 2}", "XR" if slide < 3 else "CS2",
            "test" if slide > 3 else "train", str(50 + 90 * place), str(40 + 30 * place),
            label := "MF" if place % 2 else "HN", label, label,
        ]
        for slide in range(6)
        for place in range(4)
    ]  # fmt: skip


def write_sound(folder: Path) -> Path:
    """Write the table and the images."""
    from PIL import Image

    write_rows(folder, rows())
    for slide in range(6):
        Image.new("RGB", (SIDE, SIDE), "white").save(folder / f"s{slide}.png")
    return folder


def write_rows(folder: Path, lines: list[list[str]]) -> None:
    (folder / "cells.csv").write_text("\n".join([HEADER, *map(",".join, lines)]) + "\n")


def spec(**changes) -> DatasetSpec:
    declared = {
        "name": "toy", "cells": LAYOUT, "labels": {"MF": "positive", "HN": "hard", "T": "other", "?": "ignored"},
        "positive_class": "mitotic figure", "negative_class": "look-alike", "group": "case", "mpp": 0.25,
        "license": "CC0-1.0", "reference": "https://doi.org/10.1000/182", "negatives_origin": "called so by experts",
        "labelled_by": "two experts, blinded", "voters": 2, "domains": {"scanner": "{scanner}"}, "split": "{side}",
        "by_hand": "They lie in the drawer.", "derived_from": ("midog21",),
        "crosswalks": (Crosswalk(dataset="midog21", ours=r"p(?P<key>\d)", theirs=r"(?P<key>\d+)"),),
    }  # fmt: skip
    return DatasetSpec(**declared | changes)


def _read(folder: Path) -> list[dict[str, object]]:
    with (folder / "cells.csv").open() as file:
        return [
            {
                "cell_id": row["id"], "slide": row["slide"], "file": f"{row['slide']}.png", "x": row["x"],
                "y": row["y"], "raw_label": row["label"], "case": row["case"], "raw_votes": [row["a"], row["b"]],
                "scanner": row["scanner"], "side": row["side"],
            }
            for row in csv.DictReader(file)
        ]  # fmt: skip


def sound_reader(folder):
    return _read(folder)


_counter = itertools.count()


def counts_on(folder):
    return [row | {"cell_id": f"n{next(_counter)}"} for row in _read(folder)]


def by_set_order(folder):
    """Number the cells in an order that differs from process to process."""
    by_id = {row["cell_id"]: row for row in _read(folder)}
    return [by_id[key] | {"cell_id": f"n{number}"} for number, key in enumerate(set(by_id))]


def raises(folder):
    raise KeyError("Slides")


def needs_the_first_time(folder):
    found = _read(folder)
    (folder / "cells.csv").unlink()
    return found
