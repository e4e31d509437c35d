"""Bad label files stop `eval` before a network is loaded: exit 2, one sentence, with the file and the row in it."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from tiny_distributions import Tiny

from mitozoo.cli import main
from mitozoo.data.cells import read_every_cell
from mitozoo.plugins.registry import load_registry, reset_registry

if TYPE_CHECKING:
    from pathlib import Path

CODE = r"""
from mitozoo import (CellTable, CoordinateTables, DatasetSpec, MidogJson, PatchFolder, QuPathGeoJson,
                     SlideRunnerDatabase, SlideTable, hookimpl)

def dataset(name, cells, labels, **further):
    return DatasetSpec(
        name=name, cells=cells, labels=labels, positive_class="mitotic figure", negative_class="look-alike",
        group="slide", mpp=further.pop("mpp", 0.25), license="CC0-1.0", reference="https://example.org",
        negatives_origin="made up", **further)

@hookimpl
def mitozoo_datasets():
    words = {"MF": "positive", "HN": "hard"}
    numbers = {"1": "positive", "2": "hard"}
    names = {"1": "mitotic figure", "2": "hard negative"}
    table = CellTable(path="cells.csv", cell_id="{id}", slide="{slide}", file="{slide}", x="x", y="y", label="{label}")
    slides = SlideTable(path="slides.csv", slide="{Slide}", matches="{image_id}")
    database = SlideRunnerDatabase(path="cells.sqlite", images=".", class_names=names)
    return [
        dataset("table", table, words, mpp=None),
        dataset("midog", MidogJson(path="cells.json", images=".", boxes="corners", class_names=names), numbers,
                slides=slides, split="{Set}"),
        dataset("runner", database, numbers, test_slides=("b.svs",)),
        dataset("tables", CoordinateTables(tables={"MF": "mitoses", "HN": "others"}, images=".", suffix=".tif",
                                           order="row,column"), words),
        dataset("qupath", QuPathGeoJson(path="labels", images=".", suffix=".svs"), words),
        dataset("patches", PatchFolder(path="patches", name=r"(?P<slide>\w+)-\d+\.png"), words, patch_px=8),
    ]
"""
TABLE = "id,slide,x,y,label\n" + "".join(
    f"{slide}{n},{slide}.png,{9 * n},7,{('MF', 'HN')[n % 2]}\n" for slide in "ab" for n in range(4)
)
SLIDES = "Slide,Set\n1,train\n2,test\n"
DATABASE = """
CREATE TABLE Slides (uid INTEGER, filename TEXT);
CREATE TABLE Annotations (uid INTEGER, slide INTEGER, type INTEGER, agreedClass INTEGER);
CREATE TABLE Annotations_coordinates (uid INTEGER, coordinateX REAL, coordinateY REAL, annoId INTEGER);
CREATE TABLE Annotations_label (uid INTEGER, person INTEGER, class INTEGER, annoId INTEGER);
CREATE TABLE Classes (uid INTEGER, name TEXT);
INSERT INTO Classes VALUES (1, 'Mitotic figure'), (2, 'Hard negative');
INSERT INTO Slides VALUES (1, 'a.svs'), (2, 'b.svs');
INSERT INTO Annotations VALUES (1, 1, 1, 1), (2, 1, 1, 2), (3, 2, 1, 1), (4, 2, 1, 2);
INSERT INTO Annotations_coordinates VALUES (1, 10, 10, 1), (2, 50, 10, 2), (3, 10, 10, 3), (4, 50, 10, 4);
"""


def document() -> dict:
    return {
        "images": [{"id": one, "file_name": f"{one}.tiff", "width": 900, "height": 900} for one in (1, 2)],
        "categories": [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "hard negative"}],
        "annotations": [
            {"id": 10 + n, "image_id": 1 + n // 2, "category_id": 1 + n % 2, "bbox": [99 * n, 9, 99 * n + 50, 59]}
            for n in range(4)
        ],
    }


def features() -> list[dict]:
    return [
        {
            "type": "Feature", "id": f"u{n}", "geometry": {"type": "Point", "coordinates": [9 * n, 7]},
            "properties": {"classification": {"name": ("MF", "HN")[n % 2]}},
        }
        for n in range(4)
    ]  # fmt: skip


def write_sound(folder: Path) -> Path:
    """Write sound label files of every format into one folder, and the two slides of the table."""
    from PIL import Image

    (folder / "cells.csv").write_text(TABLE)
    (folder / "cells.json").write_text(json.dumps(document(), indent=1))
    (folder / "slides.csv").write_text(SLIDES)
    with closing(sqlite3.connect(folder / "cells.sqlite")) as database:
        database.executescript(DATABASE)
    for table, line in (("mitoses", "839,2"), ("others", "10,20")):
        (folder / table).mkdir()
        for slide in "ab":
            (folder / table / f"{slide}.csv").write_text(f"{line}\n")
    (folder / "labels").mkdir()
    (folder / "labels" / "a.geojson").write_text(json.dumps({"features": features()}, indent=1))
    for label in ("MF", "HN"):
        (folder / "patches" / label).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / "patches" / label / "a-1.png")
    for slide in "ab":
        Image.new("RGB", (64, 64)).save(folder / f"{slide}.png")
    return folder


@pytest.fixture(scope="module")
def formats(zoo_site, installed):
    """Have the tiny models and datasets of every format in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(zoo_site)
        patch.syspath_prepend(installed(Tiny("mitozoo-plugin-formats", CODE)))
        patch.setenv("MITOZOO_PLUGINS", "tinyzoo,formats")
        reset_registry()
        yield {one.spec.name: one.spec for one in load_registry().datasets}
    reset_registry()


@pytest.fixture
def folder(formats, tmp_path):
    (tmp_path / "data").mkdir()
    return write_sound(tmp_path / "data")


FORMATS = ("table", "midog", "runner", "tables", "qupath", "patches")


@pytest.mark.parametrize("name", FORMATS)
def test_the_sound_files_are_read(folder, formats, name):
    _, table = read_every_cell(formats[name], folder)
    assert {"positive", "hard"} == set(table["kind"])


def replace(path: str, *changes: tuple[str, str]):
    def spoil(folder: Path) -> None:
        text = (folder / path).read_text()
        for old, new in changes:
            assert text.count(old), old
            text = text.replace(old, new, 1)
        (folder / path).write_text(text)

    return spoil


def script(*statements: str):
    def spoil(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "cells.sqlite")) as database:
            database.executescript(";".join(statements))

    return spoil


def content(path: str, new: bytes):
    return lambda folder: (folder / path).write_bytes(new)


def unchanged(folder: Path) -> None:
    """The images are the fault."""


def renamed(old: str, new: str):
    return lambda folder: (folder / old).rename(folder / new)


def cut(path: str, size: int):
    return lambda folder: (folder / path).write_bytes((folder / path).read_bytes()[:size])


def added(path: str, line: str):
    return lambda folder: (folder / path).write_text((folder / path).read_text() + line)


def annotation(**fields):
    def spoil(folder: Path) -> None:
        changed = document()
        changed["annotations"][1] |= fields
        (folder / "cells.json").write_text(json.dumps(changed))

    return spoil


def scribbled(folder: Path) -> None:
    """Overwrite the middle pages of a database."""
    path = folder / "cells.sqlite"
    bytes_ = bytearray(path.read_bytes())
    bytes_[4096 : 3 * 4096] = b"\x5a" * (2 * 4096)
    path.write_bytes(bytes_)


def swap_names(folder: Path) -> None:
    """Put the label file of a dataset whose classes are numbered the other way round in its place."""
    script("UPDATE Classes SET name = 'Non-mitotic' WHERE uid = 1", "UPDATE Classes SET name = 'x' WHERE uid = 2")(
        folder
    )


FAULTS = {
    "corrupt SQLite": [
        ("runner", cut("cells.sqlite", 9000), r"cells\.sqlite cannot be read as a SlideRunner database: "),
        ("runner", scribbled, r"cells\.sqlite cannot be read as a SlideRunner database: "),
        ("runner", content("cells.sqlite", b"SQLite format 3\0" + bytes(5000)), r"SlideRunner database"),
    ],
    "truncated JSON": [
        ("midog", cut("cells.json", 700), r"cells\.json cannot be read as JSON: .* line \d+ column \d+"),
        ("qupath", cut("labels/a.geojson", 300), r"a\.geojson cannot be read as JSON: .* line \d+ column \d+"),
    ],
    "boxes outside the image": [
        ("midog", annotation(bbox=[5000, 9, 5050, 59]), r"cells\.json: its boxes .* 1 of 4 lie outside their image"),
        ("midog", annotation(bbox=[99, 9, 50, 9]), r"cells\.json: its boxes .* 1 of 4 have no area"),
    ],
    "unknown class ids": [
        ("midog", annotation(category_id=3), r"cells\.json, annotation 11: its category_id is 3, which"),
        ("midog", annotation(labels=[1, 9]), r"cells\.json, annotation 11: unknown vote '9'"),
        ("runner", script("UPDATE Annotations SET agreedClass = 5 WHERE uid = 3"), r"annotation 3: unknown label '5'"),
        ("table", replace("cells.csv", ("MF", "Mitose")), r"cells\.csv, line 2: unknown label 'Mitose'"),
        ("qupath", replace("labels/a.geojson", ("HN", "hn")), r"labels, object a/u1: unknown label 'hn'"),
        ("patches", renamed("patches/HN", "patches/no"), r"patches, .* no/a-1\.png: unknown label 'no'"),
    ],
    "duplicate cell ids": [
        ("table", replace("cells.csv", ("a1", "a0")), r"cells\.csv, line 3: the cell_id 'a0' was there before"),
        ("midog", annotation(id=10), r"cells\.json, annotation 10: the cell_id '10' was there before"),
        ("runner", script("UPDATE Annotations SET uid = 1 WHERE uid = 2"), r"annotation 1: the cell_id '1' was there"),
        ("qupath", replace("labels/a.geojson", ("u1", "u0")), r"object a/u0: the cell_id 'a/u0' was there before"),
    ],
    "a split file that names unknown slides": [
        ("midog", added("slides.csv", "7,test\n"), r"slides\.csv, line 4: slide '7' is none of the 2 slides of"),
        ("midog", replace("slides.csv", ("2,test\n", "")), r"slides\.csv has no row for slide '2\.tiff'"),
        ("midog", replace("slides.csv", ("test", "Test")), r"annotation 12: its side of the official split is 'Test'"),
        ("runner", script("UPDATE Slides SET filename = 'c.svs' WHERE uid = 2"), r"no cell on 1 of 1 official test"),
    ],
    "a slide without mpp": [
        ("table", unchanged, r"no microns per pixel are known for 2 slides of dataset 'table', such as a\."),
    ],
    "a label file of another dataset": [
        ("table", replace("cells.csv", ("id,slide", "uid,image")), r"cells\.csv has no column 'id'; it has uid, image"),
        ("midog", replace("cells.json", ("mitotic figure", "granulocyte")), r"its class 1 is called 'granulocyte'"),
        ("runner", swap_names, r"cells\.sqlite: its class 1 is called 'Non-mitotic', and should be"),
        ("runner", script("DROP TABLE Slides"), r"cells\.sqlite is no SlideRunner database: it has no table"),
        ("qupath", content("labels/a.geojson", b'{"images": []}'), r"a\.geojson is no GeoJSON of objects"),
        ("tables", content("mitoses/a.csv", b"uid,slide,x\n"), r"a\.csv, line 1: 'uid,slide,x' is not two numbers"),
        ("patches", content("patches/MF/labels.csv", b""), r"labels\.csv is no patch"),
    ],
    "decimal commas": [
        ("table", replace("cells.csv", ("9,7", '"9,5",7')), r"cells\.csv, line 3: x is '9,5', and a position must be"),
        ("table", replace("cells.csv", ("9,7,HN", "9,5,7,HN")), r"cells\.csv, line 3: 6 fields, and the header has 5"),
        ("midog", annotation(bbox=["99,5", 9, 149, 59]), r"cells\.json, annotation 11: its bbox is \['99,5', 9"),
        ("tables", content("mitoses/a.csv", b"839,5;2,5\n"), r"a\.csv, line 1: '839,5;2,5' is not two numbers"),
        ("qupath", replace("labels/a.geojson", ("7", '"7,5"')), r"a\.geojson, object 0: \[0, '7,5'\] is no point"),
        ("runner", script("UPDATE Annotations_coordinates SET coordinateX = '9,5' WHERE uid = 2"), r": x is '9,5'"),
    ],
    "empty files": [
        ("table", content("cells.csv", b""), r"cells\.csv has no column 'id'; it has none"),
        ("table", content("cells.csv", TABLE.splitlines()[0].encode()), r"cells\.csv holds no cells"),
        ("midog", content("cells.json", b""), r"cells\.json cannot be read as JSON"),
        ("midog", content("slides.csv", b""), r"slides\.csv has no column 'Slide'; it has none"),
        ("runner", content("cells.sqlite", b""), r"cells\.sqlite is no SlideRunner database"),
        ("qupath", content("labels/a.geojson", b""), r"a\.geojson cannot be read as JSON"),
        ("patches", content("patches/MF/a-2.png", b""), r"a-2\.png"),
    ],
}  # fmt: skip
WALK = [(kind, *fault) for kind, faults in FAULTS.items() for fault in faults]


@pytest.mark.parametrize(("kind", "name", "spoil", "told"), WALK, ids=[f"{w[0]}: {w[1]}" for w in WALK])
def test_it_is_told_in_one_sentence_before_any_network_is_loaded(folder, tmp_path, loads, kind, name, spoil, told):
    spoil(folder)
    asked = ["eval", "--model", "steady", "--dataset", name, "--data", str(folder), "--out", str(tmp_path / "runs")]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 2, (kind, done.output, done.exception)
    assert done.stdout == ""
    sentence, *advice = done.stderr.splitlines()
    assert re.search(told, sentence), sentence
    assert len(advice) <= 1
    assert loads() == 0
    assert not (tmp_path / "runs").exists()


def windows(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


@pytest.mark.parametrize("name", ["table", "midog", "tables", "qupath"])
def test_byte_order_marks_and_windows_line_ends_change_nothing(folder, formats, name):
    expected = read_every_cell(formats[name], folder)[1].to_csv()
    for path in [*folder.rglob("*.csv"), *folder.rglob("*json")]:
        windows(path)
    assert read_every_cell(formats[name], folder)[1].to_csv() == expected


def test_an_empty_coordinate_table_holds_no_cells_and_all_of_them_empty_are_refused(folder, formats):
    (folder / "mitoses" / "a.csv").write_text("")
    assert len(read_every_cell(formats["tables"], folder)[1]) == 3
    for path in [*(folder / "mitoses").iterdir(), *(folder / "others").iterdir()]:
        path.write_text("")
    done = CliRunner().invoke(main, ["eval", "-m", "steady", "-d", "tables", "--data", str(folder)])
    assert done.exit_code == 2
    assert "holds no cells: it has not one entry" in done.stderr
