"""Writes the demo dataset as real ones are released: tiled pyramidal TIFFs and a SlideRunner database."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from mitozoo_plugin_demo.scanner import SCANNERS, expose
from mitozoo_plugin_demo.tissue import FIELD_PX, Cell, render_field

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MPP = 0.25
_SEED = 20250
_CASES_PER_SCANNER = 20
_LEVELS = 3
_TILE_PX = 256
_MOST_THREADS = 8  # each holds about 100 MB
_RATERS = ("rater 1", "rater 2", "rater 3")
_LOOK_ALIKE, _MITOTIC_FIGURE = 1, 2
_SPOT = 1  # SlideRunner's annotation type of a point

# SlideRunner v1, as the tables stand in the released databases of MITOS_WSI_CCMCT.
_SCHEMA = """
CREATE TABLE Annotations (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, slide INTEGER, type INTEGER,
    agreedClass INTEGER);
CREATE TABLE Annotations_coordinates (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, coordinateX INTEGER,
    coordinateY INTEGER, slide INTEGER, annoId INTEGER, orderIdx INTEGER);
CREATE TABLE Annotations_label (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, person INTEGER, class INTEGER,
    annoId INTEGER);
CREATE TABLE Classes (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, name TEXT);
CREATE TABLE Persons (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, name TEXT);
CREATE TABLE Slides (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, filename TEXT, width INTEGER, height INTEGER,
    directory TEXT);
CREATE TABLE Log (uid INTEGER PRIMARY KEY AUTOINCREMENT, dateTime FLOAT, labelId INTEGER);
"""


@dataclass(frozen=True)
class Case:
    """One case: its number, its scanner, and how many of its annotated cells are mitotic figures."""

    number: int
    scanner: str
    cells: int
    mitotic: int

    @property
    def filename(self) -> str:
        """Return the slide's file name."""
        return f"demo-{self.scanner}-{self.number:03d}.tiff"


def write_dataset(root: Path) -> None:
    """Write 'slides/*.tiff' and 'demo.sqlite' into the folder `root`, equal byte for byte at each call."""
    (root / "slides").mkdir(parents=True, exist_ok=True)
    cases = plan_cases()
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as threads:  # most of the work releases the GIL
        annotated = list(threads.map(lambda case: write_case(case, root / "slides"), cases))
    write_database(root / "demo.sqlite", zip(cases, annotated, strict=True))


def plan_cases() -> list[Case]:
    """Return the cases; 15 to 70 % of a case's cells are mitotic figures, spread alike on both scanners."""
    cases: list[Case] = []
    for scanner in SCANNERS:
        rng = np.random.default_rng([_SEED, ord(scanner)])
        shares = rng.permutation(np.linspace(0.15, 0.7, _CASES_PER_SCANNER))
        for share, cells in zip(shares, rng.integers(30, 47, _CASES_PER_SCANNER), strict=True):
            cases.append(Case(len(cases) + 1, scanner, int(cells), round(share * cells)))
    return cases


def write_case(case: Case, folder: Path) -> list[Cell]:
    """Render one case, write its slide into `folder` and return its annotated cells."""
    rng = np.random.default_rng([_SEED, case.number])
    stains, cells = render_field(rng, case.cells, case.mitotic)
    picture = expose(rng, stains, SCANNERS[case.scanner])
    with tifffile.TiffWriter(folder / case.filename) as file:
        for level in range(_LEVELS):
            file.write(
                picture,
                photometric="rgb",
                tile=(_TILE_PX, _TILE_PX),
                compression="zlib",
                compressionargs={"level": 2},  # more takes twice the time and saves 1 %
                predictor=True,
                subfiletype=int(level > 0),  # 1: a smaller version of another page
                resolution=(1e4 / (MPP * 2**level),) * 2,
                resolutionunit="CENTIMETER",
                software=False,
                metadata=None,
            )
            picture = _half(picture)
    return cells


def write_database(path: Path, annotated: Iterable[tuple[Case, list[Cell]]]) -> None:
    """Write a SlideRunner v1 database: one SPOT a cell, the class agreed, and each rater's own label."""
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.executescript(_SCHEMA)
        database.executemany("INSERT INTO Classes (name) VALUES (?)", [("hard negative",), ("mitotic figure",)])
        database.executemany("INSERT INTO Persons (name) VALUES (?)", [(rater,) for rater in _RATERS])
        for case, cells in annotated:
            size = (case.filename, FIELD_PX, FIELD_PX, "")
            slide = _insert(database, "Slides (filename, width, height, directory)", size)
            for cell in cells:
                agreed = _MITOTIC_FIGURE if cell.mitotic else _LOOK_ALIKE
                spot = _insert(database, "Annotations (slide, type, agreedClass)", (slide, _SPOT, agreed))
                place = (cell.x, cell.y, slide, spot, 1)
                _insert(database, "Annotations_coordinates (coordinateX, coordinateY, slide, annoId, orderIdx)", place)
                for person, vote in enumerate(cell.votes, start=1):
                    label = (person, _MITOTIC_FIGURE if vote else _LOOK_ALIKE, spot)
                    _insert(database, "Annotations_label (person, class, annoId)", label)


def _insert(database: sqlite3.Connection, table_and_columns: str, values: tuple[object, ...]) -> int | None:
    marks = ", ".join("?" * len(values))
    return database.execute(f"INSERT INTO {table_and_columns} VALUES ({marks})", values).lastrowid  # noqa: S608


def _half(picture: np.ndarray) -> np.ndarray:
    """Return the picture at half its size, each pixel the rounded mean of four."""
    wide = picture.astype(np.uint16)
    return ((wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2] + 2) // 4).astype(np.uint8)
