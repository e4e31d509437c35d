"""One's own table of cells: a spec made on the spot, and every column that is missing named."""

from __future__ import annotations

import math

import pytest
from fuzzed_files import EDITS, FUZZED, edited, valid_or_refused
from hypothesis import given

from mitozoo.data.cells import read_cells
from mitozoo.data.own import own_dataset
from mitozoo.errors import DataError, MitozooError

SMALL = "slide,x,y,label\na.tif,1,2,1\na.tif,3,4,0\nb.tif,5,6,1\nb.tif,7,8,0\n"
FULL = (
    "cell_id,slide,file,case,x,y,label,mpp,split,scanner,domain_stain\n"
    "c1,s1,img/a.tif,p1,1,2,mitotic figure,0.25,train,XR,dark\n"
    "c2,s2,img/b.tif,p2,3,4,hard negative,0.5,test,CS2,light\n"
    "c3,s2,img/b.tif,p2,5,6,Mitosis,,,CS2,light\n"
)


def write(folder, text: str, name: str = "My cells (1).csv"):
    path = folder / name
    path.write_text(text)
    return path


def test_four_columns_are_enough(tmp_path):
    spec = own_dataset(write(tmp_path, SMALL))
    assert (spec.name, spec.group, spec.mpp, spec.split) == ("my-cells-1", "slide", None, "")
    table = read_cells(spec, tmp_path).table
    assert table["cell_id"].tolist() == ["a.tif@1,2", "a.tif@3,4", "b.tif@5,6", "b.tif@7,8"]
    assert table["file"].tolist() == table["slide"].tolist()
    assert table["label"].tolist() == [1, 0, 1, 0]
    assert all(map(math.isnan, table["mpp"]))  # the slides' own


def test_every_column_is_used(tmp_path):
    spec = own_dataset(write(tmp_path, FULL))
    cells = read_cells(spec, tmp_path)
    table = cells.table
    assert table["cell_id"].tolist() == ["c1", "c2", "c3"]
    assert table["file"].tolist() == ["img/a.tif", "img/b.tif", "img/b.tif"]
    assert table["group"].tolist() == ["my-cells-1/p1", "my-cells-1/p2", "my-cells-1/p2"]
    assert table["split"].tolist() == ["train", "test", ""]
    assert table["label"].tolist() == [1, 0, 1]
    assert table["mpp"].tolist()[:2] == [0.25, 0.5]
    assert math.isnan(table["mpp"][2])
    assert cells.domains == ("scanner", "stain")
    assert read_cells(spec, tmp_path, mpp=0.3).table["mpp"].tolist() == [0.3] * 3


def test_a_parquet_table_gives_the_same_cells(tmp_path):
    import pandas as pd

    csv = write(tmp_path, FULL)
    pd.read_csv(csv, dtype=str, keep_default_na=False).to_parquet(tmp_path / "My cells (1).parquet")
    one, other = own_dataset(csv), own_dataset(tmp_path / "My cells (1).parquet")
    assert read_cells(one, tmp_path).sha256() == read_cells(other, tmp_path).sha256()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has no column x, y, label, slide \(or file\); it has none"),
        ("slide,x,y\na,1,2\n", r"has no column label; it has slide, x, y"),
        (SMALL.replace("7,8,0", "7,8,2"), r"line 5: label '2' is neither positive \(1, .*\) nor negative \(0, "),
        (SMALL.replace(",0\n", ",1\n"), r"one class only: its labels are '1'"),
        ("slide,x,y,label\n", r"one class only: its labels are none"),
        (SMALL.replace("7,8,0", "7,8,"), r"line 5: label '' is neither"),
        (SMALL.replace("7,8,0", "7,8"), r"line 5: 3 fields, and the header has 4"),
        (SMALL.replace("7,8", "5,6"), r"line 5: the cell_id 'b.tif@5,6' was there before"),
        (SMALL.replace(",", ";").replace("7;8", "7,5;8"), r"line 5: x is '7,5', and a position must be"),
        (FULL.replace("0.25,train", "0.25,Train"), r"line 2: its side of the official split is 'Train'"),
        (FULL.replace("0.25", "0,25").replace(",", ";").replace("0;25", "0,25"), r"line 2: mpp is '0,25', and microns"),
        (FULL.replace("0.25", "250"), r"line 2: 250.0 um/px cannot be meant"),
        (FULL.replace("p1", ""), r"line 2: its case is empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_and_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=message):
        read_cells(own_dataset(path), tmp_path)


def test_a_missing_table(tmp_path):
    with pytest.raises(DataError, match=r"there is no table of cells at .*none.csv") as caught:
        own_dataset(tmp_path / "none.csv")
    assert "Columns: slide or file" in caught.value.hint


def test_semicolons_byte_order_marks_and_windows_line_ends_change_nothing(tmp_path):
    expected = read_cells(own_dataset(write(tmp_path, SMALL)), tmp_path).sha256()
    path = tmp_path / "My cells (1).csv"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace(",", ";").replace("\n", "\r\n").encode())
    assert read_cells(own_dataset(path), tmp_path).sha256() == expected


@given(edits=EDITS)
@FUZZED
def test_any_table_is_valid_or_refused(tmp_path, edits):
    path = tmp_path / "cells.csv"
    path.write_bytes(edited(FULL.encode(), edits))
    try:
        spec = own_dataset(path)
    except MitozooError as error:
        refusal, spec = error.message, None
    if spec is None:
        assert len(refusal.splitlines()) == 1
    else:
        valid_or_refused(spec, tmp_path)
