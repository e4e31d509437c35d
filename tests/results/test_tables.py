"""The tables of a run: read in part, and rows found by their names."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitozoo.errors import StorageError
from mitozoo.results.cell_columns import CellColumns
from mitozoo.results.conditions import Conditions
from mitozoo.results.tables import positions, read_table, write_table


@given(st.lists(st.text(max_size=3), unique=True, max_size=8), st.lists(st.text(max_size=3), max_size=12))
def test_names_are_found_where_they_stand(known, asked):
    expected = [known.index(name) if name in known else -1 for name in asked]
    found = positions(pd.Series(asked, dtype="str"), pd.Series(known, dtype="str"))
    assert found.tolist() == expected
    in_pieces = pd.concat([pd.Series(asked, dtype="str"), pd.Series(asked, dtype="str")], ignore_index=True)
    assert positions(in_pieces, pd.Series(known, dtype="str")).tolist() == expected * 2


def test_a_table_is_read_whole_or_in_part(tmp_path):
    table = pd.DataFrame({"cell_id": ["a", "b", "c"], "score": [0.1, 0.2, 0.3], "votes": [[1], [], [0, 1]]})
    write_table(table, tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet", ("cell_id",))) == ["cell_id", "score", "votes"]
    part = read_table(tmp_path / "t.parquet", ("score",), where=[("cell_id", "in", ["a", "c"])], no_others=True)
    assert part.to_dict("list") == {"score": [0.1, 0.3]}
    for no_others in (False, True):
        with pytest.raises(StorageError, match=r"t\.parquet"):
            read_table(tmp_path / "t.parquet", ("absent",), no_others=no_others)


def test_groups_and_slides_are_numbered_in_the_order_of_their_names():
    table = pd.DataFrame(
        {"label": [1, 0, 1], "group": ["z", "b", "z"], "slide": ["2", "10", "1"], "negative_kind": ["", "hard", ""]}
    )
    columns = CellColumns.of(table.assign(domain_lab=["x", "y", "x"]), Conditions())
    assert columns.groups.tolist() == [1, 0, 1]
    assert columns.slides.tolist() == [2, 1, 0]
    assert columns.group_names == ["b", "z"]
    assert columns.slide_names == ["1", "10", "2"]
    assert columns.domains["lab"].tolist() == ["x", "y", "x"]


def test_a_stranger_s_table_without_a_group_has_one_more_group():
    table = pd.DataFrame({"label": [1, 0, 1], "group": ["z", None, "b"], "slide": ["1", "2", "3"]})
    columns = CellColumns.of(table.assign(negative_kind=""), Conditions())
    assert sorted(columns.groups.tolist()) == [0, 1, 2]
