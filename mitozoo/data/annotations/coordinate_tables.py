"""Reads `CoordinateTables`: one folder a class, one CSV without a header an image, one line a cell."""

from __future__ import annotations

import csv
import math
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pandas as pd

from mitozoo.data.annotations.raw import RawCells, fill_template
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mitozoo.plugins.formats import CoordinateTables


def read(layout: CoordinateTables, root: Path) -> RawCells:
    """Return the cells of all classes; a cell is called '<slide>/<class>/<line>', and an empty file holds none.

    Raises:
        DataError: a folder is missing or empty, or a line is not two whole or decimal numbers.
    """
    rows: dict[str, list[str]] = {name: [] for name in ("cell_id", "slide", "folder", "name", "raw_label")}
    x, y, places = [], [], []
    slides: dict[str, None] = {}
    for label, folder in layout.tables.items():
        if not (root / folder).is_dir():
            raise DataError(
                f"the tables of class '{label}' are expected in {root / folder}, and there is no such folder",
                hint=f"Point --data to the folder that holds {folder}.",
            )
        tables = sorted(path for path in (root / folder).rglob("*.csv") if not path.name.startswith("."))
        if not tables:
            raise DataError(f"{root / folder} holds no .csv files, and the tables of class '{label}' belong there")
        for path in tables:
            slide = PurePosixPath(path.relative_to(root / folder).with_suffix("").as_posix())
            slides[str(slide)] = None
            for line, (first, second) in _lines(path, layout.order):
                values = (f"{slide}/{label}/{line}", str(slide), str(slide.parent), slide.name, label)
                for column, value in zip(rows.values(), values, strict=True):
                    column.append(value)
                x.append(second if layout.order == "row,column" else first)
                y.append(first if layout.order == "row,column" else second)
                places.append(f"{path.relative_to(root).as_posix()}:{line}")

    def file(slide: str) -> str:
        return str(PurePosixPath(layout.images, f"{slide}{layout.suffix}"))

    table = pd.DataFrame(
        {
            "cell_id": rows["cell_id"],
            "slide": rows["slide"],
            "case": fill_template(layout.case, rows, len(places), source=str(root)),
            "file": [file(slide) for slide in rows["slide"]],
            "x": x,
            "y": y,
            "raw_label": rows["raw_label"],
        },
        index=pd.Index(places, dtype=object),
    )
    table["raw_votes"] = pd.Series([[] for _ in places], index=table.index, dtype=object)
    every = {"slide": list(slides), "file": [file(slide) for slide in slides]}
    return RawCells(table=table, own=rows, source=str(root), row_word="entry", slides=every)


def _lines(path: Path, order: str) -> Iterator[tuple[int, tuple[float, float]]]:
    """Yield each line's number, from 1, and its two coordinates."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line, fields in enumerate(csv.reader(file, strict=True), start=1):
                if any(field.strip() for field in fields):
                    yield line, _pair(fields, f"{path}, line {line}", order)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV text: {error}") from error


def _pair(fields: list[str], where: str, order: str) -> tuple[float, float]:
    try:
        first, second = map(float, fields)
    except ValueError as error:
        shown = ",".join(fields)
        raise DataError(f"{where}: {shown[:40]!r} is not two numbers, {order}, with a comma between") from error
    if not (math.isfinite(first) and math.isfinite(second)) or min(first, second) < 0:
        raise DataError(f"{where}: ({first:g}, {second:g}) is no place in an image")
    return first, second
