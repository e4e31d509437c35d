"""Joins a `SlideTable` to the cells: its columns become the slide's own, and no slide is unknown to either side."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from mitozoo.data.annotations import cell_table
from mitozoo.data.annotations.raw import fill_template, find_column
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.data.annotations.raw import RawCells
    from mitozoo.plugins.formats import SlideTable


def join(layout: SlideTable, path: Path, raw: RawCells) -> RawCells:
    """Return the cells with the table's columns beside their own.

    Raises:
        DataError: the table names a slide twice, or one that the label file does not know, or lacks one with cells.
    """
    columns, numbers, row_word = cell_table.read_columns(path)
    mended = dict(columns)
    for name, words in layout.mend.items():
        mended[name] = [words.get(value, value) for value in find_column(name, columns, source=str(path))]
    names = fill_template(layout.slide, mended, len(numbers), source=str(path))
    slides = raw.all_slides()
    matches = fill_template(layout.matches, slides, len(slides["slide"]), source=raw.source)
    known, row_of = set(matches), dict[str, int]()
    for row, name in enumerate(names):
        where = f"{path}, {row_word} {numbers[row]}"
        if name not in known:
            raise DataError(f"{where}: slide {name!r} is none of the {len(known):,} slides of {raw.source}")
        if name in row_of:
            raise DataError(f"{where}: slide {name!r} was there before, on {row_word} {numbers[row_of[name]]}")
        row_of[name] = row
    rows = dict(zip(slides["slide"], (row_of.get(name) for name in matches), strict=True))
    if lost := next((slide for slide in raw.table["slide"] if rows[slide] is None), None):
        raise DataError(f"{path} has no row for slide {lost!r}, and {raw.source} has cells on it")

    def column(values: list[str], of: list[str]) -> list[str]:
        return ["" if (row := rows[slide]) is None else values[row] for slide in of]

    of_cells, of_slides = raw.table["slide"].tolist(), list(slides["slide"])
    new = {name: list(values) for name, values in mended.items() if name not in raw.own and name not in slides}
    return dataclasses.replace(
        raw,
        own={**raw.own, **{name: column(values, of_cells) for name, values in new.items()}},
        slides={**slides, **{name: column(values, of_slides) for name, values in new.items()}},
    )
