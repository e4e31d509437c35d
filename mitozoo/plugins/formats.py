"""How a dataset's label files are laid out: one record for each format, one reader for each record."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING, Literal

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
        voters: names of the persons whose labels are votes, in this order; empty: all persons, by their ids. Models and
            adjudicators stand in the same table as experts.
        class_names: class id -> pattern that the database's own name of it must match whole, whatever the case. Ids
            mean different things in different databases; empty: not verified.
    """

    path: str
    images: str
    voters: tuple[str, ...] = ()
    class_names: Mapping[str, str] = field(default_factory=dict)

    def validate(self) -> None:
        """Refuse a pattern that is no regular expression."""
        _require_patterns("SlideRunnerDatabase.class_names", *self.class_names.values())


@record
class MidogJson(Format):
    """A JSON file of the MIDOG family: images, categories, and annotations with a box.

    It looks like COCO, but its boxes are corners (x1, y1, x2, y2), where COCO's are (x, y, width, height). Which they
    are is told from all boxes of a file, and a file that leaves it in doubt is refused. An image is a slide and a case
    of its own; the raw label is the category's id, `labels` of an annotation are votes in the file's order, and an
    image's other fields are columns for the templates of domains.

    Attributes:
        path: the JSON file, relative to the dataset's folder.
        images: folder of the images, relative to the dataset's folder.
        boxes: 'corners' or 'sizes', which the file must bear out; 'evidence': whichever the file bears out.
        class_names: category id -> pattern that the file's own name of it must match whole, whatever the case; empty:
            not verified.
    """

    path: str
    images: str
    boxes: Literal["evidence", "corners", "sizes"] = "evidence"
    class_names: Mapping[str, str] = field(default_factory=dict)

    def validate(self) -> None:
        """Refuse another word for boxes, or a pattern that is no regular expression."""
        if self.boxes not in ("evidence", "corners", "sizes"):
            raise SpecError(f"MidogJson.boxes is {self.boxes!r}; it must be 'evidence', 'corners' or 'sizes'")
        _require_patterns("MidogJson.class_names", *self.class_names.values())


@record
class CoordinateTables(Format):
    """Folders of CSV files without a header, one folder a class, one file an image, one line a cell.

    `FOLDER/01/07.csv` belongs to the image `IMAGES/01/07.SUFFIX`. Templates may use {slide} ('01/07'), {folder} ('01')
    and {name} ('07').

    Attributes:
        tables: raw label -> folder of its tables, relative to the dataset's folder.
        images: folder of the images, relative to the dataset's folder.
        suffix: ending of the images, such as '.tif'.
        order: what a line holds: 'row,column' (y, x) or 'column,row' (x, y), px from 0.
        case: template of the patient or animal; empty where the files do not say.
    """

    tables: Mapping[str, str]
    images: str
    suffix: str
    order: Literal["row,column", "column,row"]
    case: str = ""

    def validate(self) -> None:
        """Refuse an order that is neither."""
        if self.order not in ("row,column", "column,row"):
            raise SpecError(f"CoordinateTables.order is {self.order!r}; it must be 'row,column' or 'column,row'")


@record
class PatchFolder(Format):
    """Released patches in one folder a class; the folder's name is the raw label, the cell lies in the middle.

    Attributes:
        path: folder of the class folders, relative to the dataset's folder.
        name: pattern that each patch's file name must match whole, with a group (?P<slide>...) and, where the name says
            it, (?P<case>...); empty: the release does not tell which patches are of one slide.
    """

    path: str
    name: str = ""

    def validate(self) -> None:
        """Refuse a pattern that is no regular expression or names no slide."""
        _require_patterns("PatchFolder.name", self.name)
        if self.name and "slide" not in re.compile(self.name).groupindex:
            raise SpecError(f"PatchFolder.name '{self.name}' has no group (?P<slide>...)")


@record
class QuPathGeoJson(Format):
    """GeoJSON files as QuPath exports them, one an image: points and outlines with a class.

    `PATH/a.geojson` belongs to the image `IMAGES/aSUFFIX`. A point is a cell, an outline's centroid is one too, and the
    raw label is the classification's name, '' where an object has none.

    Attributes:
        path: folder of the .geojson files, relative to the dataset's folder.
        images: folder of the images, relative to the dataset's folder.
        suffix: ending of the images, such as '.svs'.
    """

    path: str
    images: str
    suffix: str


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
        x: column of the cell's centre, px from the slide's left edge at full resolution; empty, as `y`, where patches
            are released without their place.
        y: column of the cell's centre, px from the slide's top edge.
        label: the raw label, translated by the dataset's label map.
        case: patient or animal; empty where the file does not say.
        votes: columns that hold one person's label each, in the raw labels' words.
        file_words: column -> value -> the word that `file` has in its place, where a folder is not called as the
            column's values are.
        mpp: column of the slide's microns per pixel, '' in a row that does not know it.
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
    mpp: str = ""

    def validate(self) -> None:
        """Refuse half a position."""
        if bool(self.x) != bool(self.y):
            raise SpecError(f"CellTable names x '{self.x}' and y '{self.y}'; a position has both")


@record
class SlideTable(Record):
    """A CSV or Parquet file with one row a slide, whose columns join those of the label file.

    They serve the templates of domains and of the official split; a column that the label file has too stays the label
    file's. A row for a slide that the label file does not know is refused, and so is a slide with cells but no row.

    Attributes:
        path: the table, relative to the dataset's folder.
        slide: template over the table's own columns that names the slide, such as '{Slide}'.
        matches: template over the label file's columns of a slide ({slide}, {file}, an image's own fields) that gives
            the same name.
        mend: column -> value as the table spells it -> as it should be spelt.
    """

    path: str
    slide: str
    matches: str = "{slide}"
    mend: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@record
class SlideNames(Record):
    """A domain that is read off the slide's name: the first pattern that matches it whole names the value."""

    patterns: Mapping[str, str]

    def validate(self) -> None:
        """Refuse a pattern that is no regular expression."""
        _require_patterns("SlideNames pattern", *self.patterns)

    def value(self, slide: str) -> str | None:
        """Return the domain value of a slide, or None where no pattern matches."""
        return next((value for pattern, value in self.patterns.items() if re.fullmatch(pattern, slide)), None)


@record
class MppByDomain(Record):
    """Microns per pixel that differ by a domain column."""

    domain: str
    values: Mapping[str, float]


def _require_patterns(what: str, *patterns: str) -> None:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise SpecError(f"{what} '{pattern}' is not a regular expression: {error}") from error
