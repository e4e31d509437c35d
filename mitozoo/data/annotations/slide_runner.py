"""Reads a `SlideRunnerDatabase`, schema v1 or v2: spots with their agreed class and each person's label."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pandas as pd

from mitozoo.data.annotations.raw import RawCells, require_class_names
from mitozoo.data.annotations.sqlite_file import reading, stored_columns
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from mitozoo.plugins.formats import SlideRunnerDatabase

SPOT = 1  # SlideRunner's annotation type of a single point; areas, polygons and circles are no cells

NEEDED = {
    "Slides": ("uid", "filename"),
    "Annotations": ("uid", "slide", "type", "agreedClass"),
    "Annotations_coordinates": ("annoId", "coordinateX", "coordinateY"),
    "Annotations_label": ("uid", "person", "class", "annoId"),
}


def read(layout: SlideRunnerDatabase, path: Path) -> RawCells:
    """Return the spots that nobody deleted; the database is only read, and nothing is written beside it.

    `raw_label` is the agreed class's id as text, `raw_votes` each person's class id in the order of the persons' ids
    (a person's last label counts) or of the layout's voters, `case` the slide's name without its ending.

    Raises:
        DataError: the file is no SlideRunner database, or holds no spots, or one that does not lie on one point.
    """
    _require_at_rest(path)
    try:
        with reading(path) as database:
            known = _require_schema(database, path, bool(layout.voters), bool(layout.class_names))
            if layout.class_names:
                classes = database.execute("SELECT uid, name FROM Classes")
                require_class_names(layout.class_names, {_text(uid): _text(name) for uid, name in classes}, str(path))
            voters = _voters(layout, database, path)
            slides, annotations, points, votes = _tables(database, known)
    except (sqlite3.Error, UnicodeDecodeError, OverflowError, OSError) as error:
        raise DataError(f"{path} cannot be read as a SlideRunner database: {error}") from error
    spots = [(uid, slide, agreed) for uid, slide, kind, agreed in annotations if kind == SPOT]
    if not spots:
        raise DataError(f"{path} holds no cells: none of its {len(annotations):,} annotations is a single point")
    for uid, slide, _ in spots:
        if slide not in slides:
            raise DataError(f"{path}, annotation {uid}: its slide {slide!r} has no file name in table 'Slides'")
        if len(points[uid]) != 1:
            raise DataError(f"{path}, annotation {uid}: a spot has one position, this one has {len(points[uid])}")
    named = {slide: (str(name), name.stem, str(PurePosixPath(layout.images, name))) for slide, name in slides.items()}
    columns: dict[str, list[Any]] = {
        "cell_id": [str(uid) for uid, _, _ in spots],
        "slide": [named[slide][0] for _, slide, _ in spots],
        "case": [named[slide][1] for _, slide, _ in spots],
        "file": [named[slide][2] for _, slide, _ in spots],
        "x": [points[uid][0][0] for uid, _, _ in spots],
        "y": [points[uid][0][1] for uid, _, _ in spots],
        "raw_label": [_text(agreed) for _, _, agreed in spots],
        "raw_votes": [[_text(vote) for vote in _cast(votes[uid], voters)] for uid, _, _ in spots],
    }
    table = pd.DataFrame(columns, index=pd.Index(columns["cell_id"], dtype=object), dtype=object)
    own = {name: columns[name] for name in ("slide", "case", "raw_label")}
    every = {"slide": [name for name, _, _ in named.values()], "file": [file for _, _, file in named.values()]}
    return RawCells(table=table, own=own, source=str(path), row_word="annotation", slides=every)


def _voters(layout: SlideRunnerDatabase, database: sqlite3.Connection, path: Path) -> list[Any] | None:
    """Return the ids of the persons whose labels are votes; None: everybody's."""
    if not layout.voters:
        return None
    ids = {name: uid for uid, name in database.execute("SELECT uid, name FROM Persons")}
    if unknown := [name for name in layout.voters if name not in ids]:
        there = ", ".join(repr(name) for name in ids) or "nobody"
        raise DataError(f"{path} has no person called '{unknown[0]}'; it has {there}")
    return [ids[name] for name in layout.voters]


def _cast(votes: dict[Any, Any], voters: list[Any] | None) -> list[Any]:
    return list(votes.values()) if voters is None else [votes[person] for person in voters if person in votes]


def _tables(database: sqlite3.Connection, known: dict[str, set[str]]) -> tuple[Any, Any, Any, Any]:
    """Return slide -> name, the annotations (uid, slide, type, class), uid -> points, and uid -> person -> class."""
    slides = {
        uid: PurePosixPath(name.replace("\\", "/"))
        for uid, name in database.execute("SELECT uid, filename FROM Slides")
        if isinstance(name, str) and name
    }
    undeleted = "WHERE deleted IS NULL OR deleted = 0" if "deleted" in known["Annotations"] else ""
    query = f"SELECT uid, slide, type, agreedClass FROM Annotations {undeleted} ORDER BY uid"  # noqa: S608 - a constant
    annotations = database.execute(query).fetchall()
    points = defaultdict(list)
    for uid, x, y in database.execute("SELECT annoId, coordinateX, coordinateY FROM Annotations_coordinates"):
        points[uid].append((x, y))
    votes: dict[Any, dict[Any, Any]] = defaultdict(dict)
    for uid, person, label in database.execute(
        "SELECT annoId, person, class FROM Annotations_label ORDER BY person, uid"
    ):
        votes[uid][person] = label
    return slides, annotations, points, votes


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _require_at_rest(path: Path) -> None:
    """Refuse a database whose last changes lie in a journal, which reading without writing would not see."""
    for ending in ("-wal", "-journal"):
        journal = path.with_name(path.name + ending)
        if journal.exists() and journal.stat().st_size:
            raise DataError(
                f"{path} is in use or was not closed: {journal.name} lies beside it",
                hint="Open it once in SlideRunner and close it.",
            )


def _require_schema(
    database: sqlite3.Connection, path: Path, with_persons: bool, with_classes: bool
) -> dict[str, set[str]]:
    """Return the columns of each table that is needed; plain tables only, since a view may run anything."""
    further = {"Persons": ("uid", "name")} if with_persons else {}
    further |= {"Classes": ("uid", "name")} if with_classes else {}
    plain = {
        name
        for name, sql in database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        if isinstance(sql, str) and not sql.upper().startswith("CREATE VIRTUAL")
    }
    known = {}
    for table, columns in (NEEDED | further).items():
        if table not in plain:
            raise DataError(f"{path} is no SlideRunner database: it has no table '{table}'")
        known[table] = stored_columns(database, table)
        if missing := [column for column in columns if column not in known[table]]:
            raise DataError(f"{path} is no SlideRunner database: its table '{table}' has no column '{missing[0]}'")
    return known
