"""How a dataset's label files are laid out: one record for each format, one reader for each record."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING

from mitozoo.errors import SpecError
from mitozoo.plugins.record import Record, record

if TYPE_CHECKING:
    from collections.abc import Mapping


class Format(Record):
    """Any record that `mitozoo.data.annotations` can read into a cell table."""


@record
class SlideRunnerDatabase(Format):
    """A SlideRunner SQLite database (schema v1 or v2) beside the slides that it names.

    Attributes:
        path: the database, relative to the dataset's folder.
        images: folder of the slides, relative to the dataset's folder.
    """

    path: str
    images: str


@record
class CellTable(Format):
    """A CSV or Parquet file with one row a cell.

    `cell_id`, `slide`, `file`, `label` and `case` are templates over the file's own columns, such as '{dataset}_{uid}';
    `x`, `y` and `votes` are names of columns. Parquet values are read as Python writes them ('True', '1', '0.5').

    Attributes:
        path: the table, relative to the dataset's folder.
        cell_id: unique name of the cell.
        slide: name of the slide that the cell was annotated on.
        file: image file that holds the cell, relative to the dataset's folder.
        x: column of the cell's centre, px from the slide's left edge at full resolution.
        y: column of the cell's centre, px from the slide's top edge.
        label: the raw label, translated by the dataset's label map.
        case: patient or animal; empty where the file does not say.
        votes: columns that hold one person's label each, in the raw labels' words.
        file_words: column -> value -> the word that `file` has in its place, where a folder is not called as the
            column's values are.
    """

    path: str
    cell_id: str
    slide: str
    file: str
    x: str
    y: str
    label: str
    case: str = ""
    votes: tuple[str, ...] = ()
    file_words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@record
class SlideNames(Record):
    """A domain that is read off the slide's name: the first pattern that matches it whole names the value."""

    patterns: Mapping[str, str]

    def validate(self) -> None:
        """Refuse a pattern that is no regular expression."""
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise SpecError(f"SlideNames pattern '{pattern}' is not a regular expression: {error}") from error

    def value(self, slide: str) -> str | None:
        """Return the domain value of a slide, or None where no pattern matches."""
        return next((value for pattern, value in self.patterns.items() if re.fullmatch(pattern, slide)), None)


@record
class MppByDomain(Record):
    """Microns per pixel that differ by a domain column."""

    domain: str
    values: Mapping[str, float]
