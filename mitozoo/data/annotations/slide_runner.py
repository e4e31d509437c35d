"""Reads a `SlideRunnerDatabase`, schema v1 or v2: spots with their agreed class and each person's label."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pandas as pd

from mitozoo.data.annotations.raw import RawCells
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mitozoo.plugins.formats import SlideRunnerDatabase

SPOT = 1  # SlideRunner's annotation type of a single point; areas, polygons and circles are no cells
LONGEST_TEXT = 1_000_000  # bytes; no honest file or class name is longer

NEEDED = {
    "Slides": ("uid", "filename"),
    "Annotations": ("uid", "slide", "type", "agreedClass"),
    "Annotations_coordinates": ("annoId", "coordinateX", "coordinateY"),
    "Annotations_label": ("uid", "person", "class", "annoId"),
}


def read(layout: SlideRunnerDatabase, path: Path) -> RawCells:
    """Return the spots that nobody deleted; the database is only read, and nothing is written beside it.

    `raw_label` is the agreed class's id as text, `raw_votes` each person's class id in the order of the persons' ids
    (a person's last label counts), `case` the slide's name without its ending.

    Raises:
        DataError: the file is no SlideRunner database, or holds no spots, or one that does not lie on one point.
    """
    _require_at_rest(path)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_TEXT)
            known = _require_schema(database, path)
            slides = dict(database.execute("SELECT uid, filename FROM Slides"))
            undeleted = "WHERE deleted IS NULL OR deleted = 0" if "deleted" in known["Annotations"] else ""
            annotations = database.execute(
                f"SELECT uid, slide, type, agreedClass FROM Annotations {undeleted} ORDER BY uid"  # noqa: S608 - constant
            ).fetchall()
            spots = {uid: (slide, agreed) for uid, slide, kind, agreed in annotations if kind == SPOT}
            if not spots:
                raise DataError(
                    f"{path} holds no cells: none of its {len(annotations):,} annotations is a single point"
                )
            points = _points(database, spots)
            votes = _votes(database)
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise DataError(f"{path} cannot be read as a SlideRunner database: {error}") from error
    if len(spots) != sum(kind == SPOT for _, _, kind, _ in annotations):
        raise DataError(f"{path} cannot be read as a SlideRunner database: two annotations bear the same uid")
    rows = list(_rows(layout, path, slides, spots, points, votes))
    table = pd.DataFrame(rows, index=pd.Index(list(spots), dtype=object), dtype=object)
    own = {name: table[name].tolist() for name in ("slide", "case", "raw_label")}
    return RawCells(table=table, own=own, source=str(path), row_word="annotation")


def _rows(
    layout: SlideRunnerDatabase, path: Path, slides: dict[Any, Any], spots: dict[Any, Any], points: dict[Any, Any],
    votes: dict[Any, Any],
) -> Iterator[dict[str, Any]]:  # fmt: skip
    for uid, (slide, agreed) in spots.items():
        filename = slides.get(slide)
        if not isinstance(filename, str) or not filename:
            raise DataError(f"{path}, annotation {uid}: its slide {slide!r} has no file name in table 'Slides'")
        if len(points[uid]) != 1:
            raise DataError(f"{path}, annotation {uid}: a spot has one position, this one has {len(points[uid])}")
        (x, y), name = points[uid][0], PurePosixPath(filename.replace("\\", "/"))
        yield {
            "cell_id": str(uid), "slide": filename, "case": name.stem, "file": str(PurePosixPath(layout.images) / name),
            "x": x, "y": y, "raw_label": _text(agreed),
            "raw_votes": [_text(vote) for _, vote in sorted(votes[uid].items(), key=_person_order)],
        }  # fmt: skip


def _points(database: sqlite3.Connection, spots: dict[Any, Any]) -> dict[Any, list[tuple[Any, Any]]]:
    points: dict[Any, list[tuple[Any, Any]]] = defaultdict(list)
    for uid, x, y in database.execute("SELECT annoId, coordinateX, coordinateY FROM Annotations_coordinates"):
        if uid in spots:  # the rest are corners of areas, thousands of them
            points[uid].append((x, y))
    return points


def _votes(database: sqlite3.Connection) -> dict[Any, dict[Any, Any]]:
    votes: dict[Any, dict[Any, Any]] = defaultdict(dict)
    for person, label, uid in database.execute("SELECT person, class, annoId FROM Annotations_label ORDER BY uid"):
        votes[uid][person] = label
    return votes


def _person_order(vote: tuple[Any, Any]) -> tuple[bool, Any]:
    person = vote[0]
    return (False, person) if isinstance(person, int) else (True, str(person))


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


def _require_schema(database: sqlite3.Connection, path: Path) -> dict[str, set[str]]:
    """Return the columns of each table that is needed; plain tables only, since a view may run anything."""
    plain = {
        name
        for name, sql in database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        if isinstance(sql, str) and not sql.upper().startswith("CREATE VIRTUAL")
    }
    known = {}
    for table, columns in NEEDED.items():
        if table not in plain:
            raise DataError(f"{path} is no SlideRunner database: it has no table '{table}'")
        known[table] = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
        if missing := [column for column in columns if column not in known[table]]:
            raise DataError(f"{path} is no SlideRunner database: its table '{table}' has no column '{missing[0]}'")
    return known
