"""Coordinate tables: row before column, one folder a class, one file an image."""

from __future__ import annotations

import pytest
from fuzzed_files import EDITS, FUZZED, edited, valid_or_refused
from hypothesis import given

from mitozoo.data.annotations import read_annotations
from mitozoo.data.cells import read_cells
from mitozoo.errors import DataError, SpecError
from mitozoo.plugins.formats import CoordinateTables

FIELDS = {
    "tables": {"mf": "mitoses", "no": "others"}, "images": "tiles", "suffix": ".tif", "order": "row,column",
    "case": "{folder}",
}  # fmt: skip


@pytest.fixture
def spec(make_spec):
    return make_spec(cells=CoordinateTables(**FIELDS), labels={"mf": "positive", "no": "hard"}, group="case")


@pytest.fixture
def folder(tmp_path):
    for name, text in {
        "mitoses/01/01.csv": "839,2\n778,1586\n",
        "mitoses/02/07.csv": "5,6",
        "others/01/01.csv": "10,20\r\n",
        "others/01/02.csv": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    return tmp_path


def test_a_line_is_row_then_column(folder, spec):
    table = read_cells(spec, folder).table
    assert table["cell_id"].tolist() == ["01/01/mf/1", "01/01/mf/2", "01/01/no/1", "02/07/mf/1"]
    assert table[["x", "y"]].to_numpy().tolist() == [[2, 839], [1586, 778], [20, 10], [6, 5]]
    assert table["label"].tolist() == [1, 1, 0, 1]
    assert table["group"].tolist() == ["toy/01", "toy/01", "toy/01", "toy/02"]
    assert table["file"].unique().tolist() == ["tiles/01/01.tif", "tiles/02/07.tif"]
    slides = read_annotations(spec, folder).slides
    assert slides["slide"] == ["01/01", "02/07", "01/02"]  # the last has a table and no cell


def test_the_other_order(folder, make_spec):
    layout = CoordinateTables(**FIELDS | {"order": "column,row"})
    spec = make_spec(cells=layout, labels={"mf": "positive", "no": "hard"}, group="case")
    assert read_cells(spec, folder).table[["x", "y"]].to_numpy().tolist()[0] == [839, 2]
    with pytest.raises(SpecError, match=r"order is 'x,y'"):
        CoordinateTables(**FIELDS | {"order": "x,y"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("839,2\n778;1586\n", r"01.csv, line 2: '778;1586' is not two numbers, row,column"),
        ("839,5,2,5\n", r"line 1: '839,5,2,5' is not two numbers"),
        ("row,column\n1,2\n", r"line 1: 'row,column' is not two numbers"),
        ("1,nan\n", r"line 1: \(1, nan\) is no place in an image"),
        ("-1,5\n", r"line 1: \(-1, 5\) is no place"),
        ('"1,5\n', r"cannot be read as CSV text"),
    ],
)
def test_bad_lines_are_named(folder, spec, text, message):
    (folder / "mitoses/01/01.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_cells(spec, folder)


def test_a_missing_or_empty_folder_is_told(folder, spec):
    for path in (folder / "others").rglob("*.csv"):
        path.unlink()
    with pytest.raises(DataError, match=r"others holds no .csv files, and the tables of class 'no' belong there"):
        read_cells(spec, folder)
    with pytest.raises(DataError, match=r"there is no such folder") as caught:
        read_cells(spec, folder / "mitoses")
    assert caught.value.hint == "Point --data to the folder that holds mitoses."


@given(edits=EDITS)
@FUZZED
def test_any_bytes_are_valid_or_refused(folder, spec, edits):
    (folder / "mitoses/01/01.csv").write_bytes(edited(b"839,2\n778,1586\n12,13\n", edits))
    valid_or_refused(spec, folder)
