"""The sha256 of a dataset's table: any change shows, order and storage do not, and those of plugins are measured."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pandas as pd
import pytest

from mitozoo.data.cells import read_cells
from mitozoo.errors import SpecError
from mitozoo.plugins.registry import Registry
from mitozoo.results.tables import cell_table, table_sha256, write_table
from mitozoo_plugin_demo import DEMO


@pytest.fixture
def cells() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cell_id": ["a", "b", "ç"], "slide": ["s", "s", "t"], "group": ["d/s", "d/s", "d/t"],
            "split": ["train", "train", "test"], "label": [1, 0, 1], "negative_kind": ["", "hard", ""],
            "votes": [[1, 0, 1], [], [1]], "domain_scanner": ["x", "x", "y"], "x": [1.0, 2.0, 3.0],
        }
    )  # fmt: skip


def test_it_is_the_hash_of_the_columns_by_name_as_json(cells):
    columns = {name: cells[name].tolist() for name in sorted(set(cells) - {"x"})}
    assert table_sha256(cells) == hashlib.sha256(json.dumps(columns, ensure_ascii=False).encode()).hexdigest()


def test_neither_order_nor_positions_nor_storage_change_it(cells, tmp_path):
    write_table(cell_table(cells), tmp_path / "cells.parquet")
    assert table_sha256(pd.read_parquet(tmp_path / "cells.parquet")) == table_sha256(cells)
    assert table_sha256(cells.iloc[::-1]) == table_sha256(cells.assign(x=0.0)) == table_sha256(cells)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("cell_id", "aa"), ("slide", "t"), ("group", "d/t"), ("split", ""), ("label", 0), ("negative_kind", "other"),
        ("domain_scanner", "z"),
    ],
)  # fmt: skip
def test_every_column_counts(column, value, cells):
    before = table_sha256(cells)
    cells.loc[0, column] = value
    assert table_sha256(cells) != before


def test_votes_and_names_of_domains_count(cells):
    others = [cells.assign(votes=[[1, 1, 0], [], [1]]), cells.rename(columns={"domain_scanner": "domain_lab"})]
    assert len({table_sha256(table) for table in (cells, *others)}) == 3


@pytest.mark.shared
@pytest.mark.parametrize(("name", "folder", "cells"), [("ami-br", "ami-br", 3_720), ("midogpp", "annotations", 26_286)])
def test_what_plugins_ship_is_what_the_real_label_files_hold(name, folder, cells, shared_data):
    spec = Registry().dataset(name).spec
    for negatives, shipped in spec.table_sha256.items():
        found = read_cells(spec, shared_data / folder, negatives=negatives)
        assert (len(found), table_sha256(found.table)) == (cells, shipped)
    assert set(spec.table_sha256) == {"hard", "all"}


@pytest.mark.parametrize("wrong", [{"easy": "0" * 64}, {"hard": "0" * 63}, {"hard": "G" * 64}])
def test_what_is_no_sha256_of_a_table_is_refused(wrong):
    with pytest.raises(SpecError, match="table_sha256 must be 64 hex digits for hard, other, all"):
        dataclasses.replace(DEMO, table_sha256=wrong)


def test_it_is_no_part_of_the_fingerprint():
    assert dataclasses.replace(DEMO, table_sha256={}).fingerprint() == DEMO.fingerprint()
