"""Predictions as a SlideRunner database: one spot a cell, its class what became of the cell."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mitozoo import storage
from mitozoo.exports.placed import plain, records
from mitozoo.results.tested import OUTCOMES

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.exports.placed import PlacedCells

#: Tables and columns of SlideRunner's databases, version 1, as in those that are published.
SCHEMA_V1 = """
CREATE TABLE Annotations_label (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE,
    person INTEGER, class INTEGER, annoId INTEGER);
CREATE TABLE Annotations_coordinates (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE,
    coordinateX INTEGER, coordinateY INTEGER, slide INTEGER, annoId INTEGER, orderIdx INTEGER);
CREATE TABLE Annotations (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE,
    slide INTEGER, type INTEGER, agreedClass INTEGER);
CREATE TABLE Classes (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, name TEXT);
CREATE TABLE Persons (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, name TEXT);
CREATE TABLE Slides (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE,
    filename TEXT, width INTEGER, height INTEGER, directory TEXT);
CREATE TABLE Log (uid INTEGER PRIMARY KEY AUTOINCREMENT, dateTime FLOAT, labelId INTEGER);
"""
#: What SlideRunner has no place for; it passes over tables that it does not know.
PREDICTIONS = """
CREATE TABLE Predictions (annoId INTEGER PRIMARY KEY, cell_id TEXT, label INTEGER, score REAL, threshold REAL,
    called REAL, predicted INTEGER);
"""
SPOT, PERSON = 1, 1


def write_slide_runner(placed: PlacedCells, path: Path) -> None:
    """Write one database. Classes are the outcomes, the model is the one person; scores are in table `Predictions`.

    Args:
        placed: the cells.
        path: the file.
    """
    slides = {image: number for number, image in enumerate(placed.images, start=1)}
    classes = {name: number for number, name in enumerate(OUTCOMES.values(), start=1)}
    with storage.write_whole(path) as unfinished, closing(sqlite3.connect(unfinished)) as database:
        database.executescript(SCHEMA_V1 + PREDICTIONS)
        database.executemany("INSERT INTO Classes VALUES (?, ?)", [(uid, name) for name, uid in classes.items()])
        database.execute("INSERT INTO Persons VALUES (?, ?)", (PERSON, placed.model))
        for image, uid in slides.items():
            name = PurePosixPath(image.replace("\\", "/"))
            database.execute(
                "INSERT INTO Slides VALUES (?, ?, ?, ?, ?)", (uid, name.name, *placed.size(image), name.parent.name)
            )
        cells = list(enumerate(records(placed.table), start=1))
        of_class = {uid: classes[cell["outcome"]] for uid, cell in cells}
        database.executemany(
            "INSERT INTO Annotations VALUES (?, ?, ?, ?)",
            [(uid, slides[cell["image"]], SPOT, of_class[uid]) for uid, cell in cells],
        )
        database.executemany(
            "INSERT INTO Annotations_coordinates VALUES (?, ?, ?, ?, ?, 1)",
            [(uid, plain(cell["x"]), plain(cell["y"]), slides[cell["image"]], uid) for uid, cell in cells],
        )
        database.executemany(
            "INSERT INTO Annotations_label VALUES (?, ?, ?, ?)",
            [(uid, PERSON, of_class[uid], uid) for uid, _ in cells],
        )
        told = ("cell_id", "label", "score", "threshold", "called", "predicted")
        database.executemany(
            "INSERT INTO Predictions VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(uid, *(cell[name] for name in told)) for uid, cell in cells],
        )
        database.commit()
