"""A `CellTable` is read as it is written, and what is wrong with it is said with file and line."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzed_files import EDITS, FUZZED, edited, valid_or_refused
from hypothesis import example, given
from hypothesis import strategies as st

from mitozoo.data.annotations import cell_table, read_annotations
from mitozoo.data.cells import read_cells
from mitozoo.errors import DataError
from mitozoo.plugins.formats import CellTable

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (
    "id,slide,case,x,y,label,a,b\n"
    "c1,s1.tif,p1,10.5,20,MF,MF,HN\n"
    "c2,s1.tif,p1,30,40,HN,HN,\n"
    'c3,s2.tif,p2,-2,1e3,"MF",MF,MF\n'
)


def written(folder: Path, content: str | bytes, name: str = "cells.csv") -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_csv_is_read_as_text_with_line_numbers(tmp_path, make_spec):
    raw = read_annotations(make_spec(), written(tmp_path, TEXT))
    assert raw.table["cell_id"].tolist() == ["c1", "c2", "c3"]
    assert raw.table["x"].tolist() == ["10.5", "30", "-2"]
    assert raw.table["raw_label"].tolist() == ["MF", "HN", "MF"]
    assert raw.table["raw_votes"].tolist() == [["MF", "HN"], ["HN", ""], ["MF", "MF"]]
    assert raw.table.index.tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    "variant",
    [
        "\ufeff" + TEXT,
        TEXT.replace("\n", "\r\n"),
        "\ufeff" + TEXT.replace("\n", "\r\n").rstrip(),
        TEXT.replace(",", ";"),
        TEXT.replace(",", "\t"),
        TEXT.replace("\nc2", "\n\nc2"),
    ],
    ids=["byte order mark", "windows", "both", "semicolons", "tabs", "blank line"],
)
def test_spellings_of_csv_give_the_same_cells(tmp_path, make_spec, variant):
    expected = read_cells(make_spec(), written(tmp_path, TEXT)).table
    pd.testing.assert_frame_equal(read_cells(make_spec(), written(tmp_path, variant)).table, expected)


def test_parquet_gives_the_cells_of_the_same_csv(tmp_path, make_spec):
    table = pd.DataFrame({"uid": [7, 8, 9], "slide": ["s1", "s1", "s2"], "x": [1, 2, 3], "y": [0.5, 1.5, 2.5]})
    table["mitosis"] = [True, False, True]
    table.to_parquet(tmp_path / "cells.parquet")
    table.to_csv(tmp_path / "cells.csv", index=False)

    def spec(path):
        layout = CellTable(
            path=path, cell_id="{uid}", slide="{slide}", file="{mitosis}/{uid}.png", x="x", y="y", label="{mitosis}",
            file_words={"mitosis": {"True": "Mitosis", "False": "None"}},
        )  # fmt: skip
        return make_spec(cells=layout, labels={"True": "positive", "False": "hard"})

    parquet, csv = (read_cells(spec(path), tmp_path) for path in ("cells.parquet", "cells.csv"))
    pd.testing.assert_frame_equal(parquet.table, csv.table)
    assert csv.table["file"].tolist() == ["Mitosis/7.png", "None/8.png", "Mitosis/9.png"]


def test_missing_values_of_parquet_are_empty_text(tmp_path, make_spec):
    columns = TEXT.splitlines()[0].split(",")
    pd.DataFrame([["c1", None, "p", 1.0, 2.0, "MF", None, "HN"]], columns=columns).to_parquet(
        tmp_path / "cells.parquet"
    )
    spec = make_spec(cells=CellTable(**{**_fields(make_spec().cells), "path": "cells.parquet"}))
    with pytest.raises(DataError, match=r"cells.parquet, row 0: its slide is empty"):
        read_cells(spec, tmp_path)


def _fields(record):
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.replace("label", "class", 1), r"has no column 'label'; it has id, slide, case, x, y, class, a, b"),
        (TEXT.replace("case", "slide", 1), r"two columns called 'slide'"),
        (TEXT.replace("30,40", "30,40,50"), r"line 3: 9 fields, and the header has 8"),
        (TEXT.replace("c2", '"c2'), r"cannot be read as CSV text"),
        (b"id,slide\n\xff\xfe,\x00", r"cannot be read as CSV text"),
        ("", r"has no column 'id'; it has none"),
        (TEXT.splitlines()[0], r"holds no cells"),
    ],
    ids=["missing column", "column twice", "ragged", "open quote", "not UTF-8", "empty file", "header only"],
)
def test_a_bad_table_is_refused_in_one_sentence(tmp_path, make_spec, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read_cells(make_spec(), written(tmp_path, content))
    assert "cells.csv" in caught.value.message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": "label"}, r"CellTable.label 'label' names no column; write '\{label\}'"),
        ({"file": "{slide.__class__}"}, r"may hold column names only|has no column"),
        ({"file": "{slide!r}"}, r"may hold column names only"),
        ({"file": "{slide:>9999999999}"}, r"may hold column names only"),
        ({"file": "{slide"}, r"cannot be read"),
        ({"file_words": {"label": {"MF": "m"}}}, r"column 'label' holds 'HN', and file names know only MF"),
        ({"votes": ("c",)}, r"has no column 'c'"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(tmp_path, make_spec, changed, message):
    spec = make_spec(cells=CellTable(**(_fields(make_spec().cells) | changed)))
    with pytest.raises(DataError, match=message):
        read_cells(spec, written(tmp_path, TEXT))


def test_the_message_for_a_missing_file_says_where_it_was_expected_and_where_one_is(tmp_path, make_spec):
    (tmp_path / "inner").mkdir()
    written(tmp_path / "inner", TEXT)
    with pytest.raises(DataError) as caught:
        read_cells(make_spec(), tmp_path)
    assert f"expects its label file at {tmp_path / 'cells.csv'}" in caught.value.message
    assert caught.value.hint == f"Point --data to {tmp_path / 'inner'}."


ROWS = [
    {"cell_id": 1, "slide": "a", "file": "a.tif", "x": 1, "y": 2, "raw_label": "MF", "raw_votes": ["MF"], "lab": "L"},
    {"cell_id": 2, "slide": "a", "file": "a.tif", "x": 3, "y": 4, "raw_label": "HN", "raw_votes": [], "lab": "L"},
]


def as_list(_):
    return ROWS


def as_iterator(_):
    return iter(ROWS)


def as_frame(_):
    return pd.DataFrame(ROWS)


def that_fails(folder):
    return (folder / "absent.xml").read_text()


def without_labels(_):
    return [{"cell_id": 1, "slide": "a", "x": 1, "y": 2}]


@pytest.mark.parametrize("reader", [as_list, as_iterator, as_frame])
def test_a_plugins_own_function_is_a_reader(tmp_path, make_spec, reader):
    cells = read_cells(make_spec(cells=reader, domains={"lab": "{lab}"}), tmp_path)
    assert cells.table["cell_id"].tolist() == ["1", "2"]
    assert cells.table["votes"].tolist() == [[1], []]
    assert cells.table["domain_lab"].tolist() == ["L", "L"]
    assert cells.table["x"].tolist() == [1.0, 3.0]


def test_a_failing_function_is_named_with_its_cause(tmp_path, make_spec):
    with pytest.raises(DataError, match=r"its reader \w+:that_fails failed: FileNotFoundError") as caught:
        read_cells(make_spec(cells=that_fails), tmp_path)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    with pytest.raises(DataError, match=r"lack file, raw_label"):
        read_cells(make_spec(cells=without_labels), tmp_path)


EVIL = st.sampled_from(
    [
        b"nan",
        b"-inf",
        b"1e999",
        b'"',
        b",",
        b"\n",
        b"\r",
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b";;;;;;;;;",
        b"MF",
        b"c1",
        b" ",
    ]
)


@st.composite
def mutated(draw) -> bytes:
    content = TEXT.encode()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        content = content[:start] + draw(EVIL | st.binary(max_size=4)) + content[start + draw(st.integers(0, 6)) :]
    return content


@given(mutated())
@example(TEXT.encode())
@FUZZED
def test_a_mutated_table_is_valid_or_refused(tmp_path, make_spec, content):
    valid_or_refused(make_spec(), written(tmp_path, content))


@given(edits=EDITS)
@FUZZED
def test_a_mutated_parquet_file_is_valid_or_refused(tmp_path, make_spec, edits):
    if not (tmp_path / "whole.parquet").exists():
        pd.read_csv(io.StringIO(TEXT), dtype=str).to_parquet(tmp_path / "whole.parquet")
    (tmp_path / "cells.parquet").write_bytes(edited((tmp_path / "whole.parquet").read_bytes(), edits))
    valid_or_refused(make_spec(cells=dataclasses.replace(make_spec().cells, path="cells.parquet")), tmp_path)


@pytest.mark.parametrize("block", [2, 65_536])
def test_columns_of_parquet_are_what_python_says_of_their_values(tmp_path, monkeypatch, block):
    values = {
        "text": ["a", None, "\u00e9", ""], "whole": [1, -2, None, 2**60], "number": [1.0, 1e16, None, 0.1],
        "truth": [True, False, None, True], "day": [dt.date(2026, 11, 22), None, None, None],
        "word": pd.Categorical(["x", "y", None, "x"]), "nothing": [None] * 4,
    }  # fmt: skip
    table = pa.table({name: pa.array(column) for name, column in values.items()})
    pq.write_table(table, tmp_path / "cells.parquet")
    monkeypatch.setattr(cell_table, "BLOCK", block)
    columns, numbers, _ = cell_table.read_columns(tmp_path / "cells.parquet")
    assert list(numbers) == [0, 1, 2, 3]
    for name in values:
        expected = ["" if value is None else str(value) for value in table[name].to_pylist()]
        assert list(columns[name]) == expected, name
