"""SlideRunner databases, v1 and v2: spots only, deleted rows left out, persons in a fixed order, nothing written."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from fuzzed_files import FUZZED, valid_or_refused
from hypothesis import given
from hypothesis import strategies as st

from mitozoo.data.annotations import read_annotations
from mitozoo.data.cells import read_cells
from mitozoo.errors import DataError
from mitozoo.exports.slide_runner import SCHEMA_V1 as V1
from mitozoo.plugins.formats import SlideRunnerDatabase

if TYPE_CHECKING:
    from pathlib import Path

V2_MORE = """
ALTER TABLE Annotations ADD COLUMN guid TEXT;
ALTER TABLE Annotations ADD COLUMN lastModified REAL;
ALTER TABLE Annotations ADD COLUMN deleted INTEGER DEFAULT 0;
ALTER TABLE Annotations ADD COLUMN description TEXT;
ALTER TABLE Annotations_coordinates ADD COLUMN coordinateZ INTEGER;
ALTER TABLE Slides ADD COLUMN uuid TEXT;
ALTER TABLE Slides ADD COLUMN exactImageID TEXT;
ALTER TABLE Annotations_label ADD COLUMN exact_id INTEGER;
"""
CONTENT = """
INSERT INTO Slides (uid, filename) VALUES (4, 'be10.svs'), (9, 'f374.svs');
INSERT INTO Annotations (uid, slide, type, agreedClass) VALUES
    (11, 4, 1, 2), (12, 4, 1, 7), (13, 9, 1, 2), (14, 9, 3, 1), (20, 9, 1, 7);
INSERT INTO Annotations_coordinates (coordinateX, coordinateY, slide, annoId, orderIdx) VALUES
    (200, 300, 9, 13, 1), (1, 1, 9, 14, 1), (9, 1, 9, 14, 2), (9, 9, 9, 14, 3),
    (100, 110, 4, 11, 1), (120, 130, 4, 12, 1), (7, 8, 9, 20, 1);
INSERT INTO Annotations_label (person, class, annoId) VALUES
    (3, 7, 11), (1, 7, 11), (2, 2, 11), (1, 2, 11), (2, 7, 12);
"""  # person 1 changed his mind about 11
LAYOUT = SlideRunnerDatabase(path="cells.sqlite", images="slides")
LABELS = {"2": "positive", "7": "hard"}


@pytest.fixture
def runner_spec(make_spec):
    return make_spec(cells=LAYOUT, labels=LABELS, group="case")


def make_database(path: Path, *scripts: str) -> Path:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        for script in scripts:
            database.executescript(script)
    return path


@pytest.mark.parametrize("scripts", [(V1, CONTENT), (V1, V2_MORE, CONTENT)], ids=["v1", "v2"])
def test_spots_are_the_cells(tmp_path, runner_spec, scripts):
    make_database(tmp_path / "cells.sqlite", *scripts)
    table = read_cells(runner_spec, tmp_path).table
    assert table["cell_id"].tolist() == ["11", "12", "13", "20"]
    assert table["slide"].tolist() == ["be10.svs", "be10.svs", "f374.svs", "f374.svs"]
    assert table["file"].tolist() == ["slides/be10.svs", "slides/be10.svs", "slides/f374.svs", "slides/f374.svs"]
    assert table["group"].tolist() == ["toy/be10", "toy/be10", "toy/f374", "toy/f374"]
    assert table[["x", "y"]].to_numpy().tolist() == [[100, 110], [120, 130], [200, 300], [7, 8]]
    assert table["label"].tolist() == [1, 0, 1, 0]
    assert table["votes"].tolist() == [[1, 1, 0], [0], [], []]  # persons 1, 2, 3, each with the last word


def test_deleted_annotations_are_left_out(tmp_path, runner_spec):
    make_database(tmp_path / "cells.sqlite", V1, V2_MORE, CONTENT, "UPDATE Annotations SET deleted = 1 WHERE uid = 20")
    assert read_cells(runner_spec, tmp_path).table["cell_id"].tolist() == ["11", "12", "13"]
    make_database(tmp_path / "cells.sqlite", V1, V2_MORE, CONTENT, "UPDATE Annotations SET deleted = NULL")
    assert len(read_cells(runner_spec, tmp_path)) == 4


def test_reading_changes_nothing(tmp_path, runner_spec):
    path = make_database(tmp_path / "cells.sqlite", V1, CONTENT)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")  # a database that wants files beside it
    before = path.read_bytes()
    path.chmod(0o444)
    assert len(read_cells(runner_spec, tmp_path)) == 4
    assert [file.name for file in tmp_path.iterdir()] == ["cells.sqlite"]
    assert path.read_bytes() == before


def test_a_database_with_unmerged_changes_is_refused(tmp_path, runner_spec):
    path = make_database(tmp_path / "cells.sqlite", V1, CONTENT)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("DELETE FROM Annotations WHERE uid = 20")
        writer.commit()
        with pytest.raises(DataError, match=r"in use or was not closed: cells.sqlite-wal lies beside it"):
            read_cells(runner_spec, tmp_path)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("DELETE FROM Annotations_coordinates WHERE annoId = 13", r"annotation 13: .* one position, this one has 0"),
        ("INSERT INTO Annotations_coordinates (annoId) VALUES (12)", r"annotation 12: .* one position, this one has 2"),
        ("DELETE FROM Slides WHERE uid = 9", r"annotation 13: its slide 9 has no file name"),
        ("UPDATE Slides SET filename = NULL", r"annotation 11: its slide 4 has no file name"),
        ("UPDATE Annotations_coordinates SET coordinateX = x'00' WHERE annoId = 11", r"annotation 11: x is b'\\x00'"),
        ("UPDATE Annotations_coordinates SET coordinateY = 9e999 WHERE annoId = 11", r"annotation 11: y is inf"),
        ("UPDATE Annotations_coordinates SET coordinateY = NULL WHERE annoId = 11", r"annotation 11: y is None"),
        ("UPDATE Annotations SET agreedClass = 3 WHERE uid = 12", r"annotation 12: unknown label '3'.*'2' \(pos"),
        ("UPDATE Annotations_label SET class = 5 WHERE annoId = 12", r"annotation 12: unknown vote '5'"),
        ("UPDATE Annotations SET type = 2", r"holds no cells: none of its 5 annotations is a single point"),
        ("DELETE FROM Annotations", r"holds no cells: none of its 0 annotations"),
        ("DROP TABLE Slides", r"no SlideRunner database: it has no table 'Slides'"),
        ("ALTER TABLE Annotations DROP COLUMN agreedClass", r"table 'Annotations' has no column 'agreedClass'"),
        ("UPDATE Slides SET filename = hex(zeroblob(4000000))", r"cannot be read as a SlideRunner database"),
        ("UPDATE Slides SET filename = CAST(x'ff00ff' AS TEXT)", r"cannot be read as a SlideRunner database"),
        (
            "DROP TABLE Slides; CREATE VIEW Slides AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) "
            "SELECT i AS uid, 'x' AS filename FROM n",
            r"it has no table 'Slides'",
        ),
        (
            "DROP TABLE Annotations; CREATE TABLE Annotations (uid, slide, type, agreedClass);"
            "INSERT INTO Annotations VALUES (11, 4, 1, 2), (11, 4, 1, 7)",
            r"annotation 11: the cell_id '11' was there before",
        ),
    ],
)  # fmt: skip
def test_hostile_content_is_refused_in_one_sentence(tmp_path, runner_spec, script, message):
    make_database(tmp_path / "cells.sqlite", V1, CONTENT, script)
    with pytest.raises(DataError, match=message) as caught:
        read_cells(runner_spec, tmp_path)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "content", [b"", b"no database at all, just text " * 50, b"SQLite format 3\x00" + b"\x00" * 5000]
)
def test_another_file_is_refused(tmp_path, runner_spec, content):
    (tmp_path / "cells.sqlite").write_bytes(content)
    with pytest.raises(DataError, match=r"SlideRunner database"):
        read_cells(runner_spec, tmp_path)


PERSONS = "INSERT INTO Persons VALUES (1, 'expert 1'), (2, 'RetinaNet'), (3, 'expert 2');"
CLASSES = "INSERT INTO Classes VALUES (2, 'Mitotic figure'), (7, 'Mitotic figure look-alike');"


def test_named_persons_alone_vote(tmp_path, make_spec):
    make_database(tmp_path / "cells.sqlite", V1, CONTENT, PERSONS)

    def votes(*voters: str) -> list[list[int]]:
        layout = SlideRunnerDatabase(path="cells.sqlite", images="slides", voters=voters)
        return read_cells(make_spec(cells=layout, labels=LABELS, group="case"), tmp_path).table["votes"].tolist()

    assert votes() == [[1, 1, 0], [0], [], []]
    assert votes("expert 2", "expert 1") == [[0, 1], [], [], []]
    with pytest.raises(DataError, match=r"no person called 'expert 3'; it has 'expert 1', 'RetinaNet', 'expert 2'"):
        votes("expert 1", "expert 3")
    make_database(tmp_path / "cells.sqlite", V1, CONTENT, "DROP TABLE IF EXISTS Persons")
    with pytest.raises(DataError, match=r"it has no table 'Persons'"):
        votes("expert 1")


def test_class_names_are_verified(tmp_path, make_spec):
    make_database(tmp_path / "cells.sqlite", V1, CONTENT, CLASSES)

    def read(**names: str) -> int:
        layout = SlideRunnerDatabase(
            path="cells.sqlite", images="slides", class_names={key[1:]: name for key, name in names.items()}
        )
        return len(read_cells(make_spec(cells=layout, labels=LABELS, group="case"), tmp_path))

    assert read(_2="mitotic figure", _7=".*look-?alike") == 4
    with pytest.raises(
        DataError, match=r"class 7 is called 'Mitotic figure look-alike', and should be called"
    ) as caught:
        read(_7="mitotic figure")
    assert caught.value.hint == "It may be the label file of another dataset."
    with pytest.raises(DataError, match=r"has no class 1; its classes are 2 'Mitotic figure', 7 'Mitotic figure look"):
        read(_1="granulocyte")


def test_domains_come_from_the_slides_own_columns(tmp_path, make_spec):
    make_database(tmp_path / "cells.sqlite", V1, CONTENT)
    spec = make_spec(cells=LAYOUT, labels=LABELS, group="case", domains={"where": "{case}"})
    assert read_cells(spec, tmp_path).table["domain_where"].tolist() == ["be10", "be10", "f374", "f374"]


@pytest.mark.shared
def test_the_real_tumour_zones_hold_no_cells(tmp_path, shared_data, make_spec):
    name = "MITOS_WSI_CCMCT_Tumorzone.sqlite"
    layout = SlideRunnerDatabase(path=name, images=".")
    raw = read_annotations(make_spec(cells=layout), shared_data / "annotations")
    assert raw.table.index.tolist() == ["97", "604"]  # of 581 areas, polygons and special spots two are plain spots
    assert raw.table["slide"].tolist() == ["c91a842257ed2add5134.svs"] * 2
    assert raw.table[["x", "y", "raw_label"]].to_numpy().tolist() == [[62911, 67966, "3"], [48340, 32545, "4"]]
    with pytest.raises(DataError, match=r"holds no cells .* its 2 labels are '3', '4', none of '2', '7'"):
        read_cells(make_spec(cells=layout, labels=LABELS), shared_data / "annotations")
    with pytest.raises(DataError, match=r"annotation 604: unknown label '4'"):
        read_cells(make_spec(cells=layout, labels=LABELS | {"1": "other", "3": "other"}), shared_data / "annotations")
    shutil.copyfile(shared_data / "annotations" / name, tmp_path / name)
    with (tmp_path / name).open("r+b") as file:
        file.truncate(100_000)
    with pytest.raises(DataError, match=r"cannot be read as a SlideRunner database"):
        read_annotations(make_spec(cells=layout), tmp_path)


NUMBERS = st.integers(-5, 20) | st.integers(-(2**62), 2**62) | st.floats()
VALUES = st.none() | NUMBERS | st.text(max_size=3) | st.binary(max_size=3)
COLUMNS = {
    "Slides": ("uid", "filename"),
    "Annotations": ("slide", "type", "agreedClass"),
    "Annotations_coordinates": ("annoId", "coordinateX", "coordinateY"),
    "Annotations_label": ("person", "class", "annoId"),
}
PLACES = st.sampled_from([(table, column) for table, columns in COLUMNS.items() for column in columns])


@given(changes=st.lists(st.tuples(PLACES, st.integers(1, 20), VALUES), min_size=1, max_size=4))
@FUZZED
def test_any_values_are_valid_or_refused(tmp_path, runner_spec, changes):
    path = tmp_path / "cells.sqlite"
    if not (tmp_path / "whole.sqlite").exists():
        make_database(tmp_path / "whole.sqlite", V1.replace("INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE", ""), CONTENT)
    shutil.copyfile(tmp_path / "whole.sqlite", path)
    with closing(sqlite3.connect(path)) as database:
        for (table, column), row, value in changes:
            database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row % 7 + 1))
        database.commit()
    valid_or_refused(runner_spec, tmp_path)


@given(
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), min_size=1, max_size=6),
    keep=st.floats(0, 1),
)
@FUZZED
def test_any_bytes_are_valid_or_refused(tmp_path, runner_spec, edits, keep):
    whole = tmp_path / "whole.sqlite"
    if not whole.exists():
        make_database(whole, V1, CONTENT)
    content = bytearray(whole.read_bytes())
    for place, value in edits:
        start = int(place * (len(content) - len(value)))
        content[start : start + len(value)] = value
    (tmp_path / "cells.sqlite").write_bytes(content[: int(len(content) * keep)] if keep < 0.2 else content)
    valid_or_refused(runner_spec, tmp_path)
