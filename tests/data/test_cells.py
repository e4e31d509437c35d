"""The cell table: what is refused, what labels, groups, domains and mpp become, and where the files are looked for."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mitozoo import storage
from mitozoo.data import cells as cells_module
from mitozoo.data.cells import REPEATED, join_cells, read_cells
from mitozoo.data.folder import select_data_folder
from mitozoo.errors import DataError, StorageError
from mitozoo.plugins.formats import MppByDomain, SlideNames
from mitozoo.results.tables import cell_table

HEADER = "id,slide,case,x,y,label,a,b"
ROWS = [
    "c3,s2.tif,p2,50,60,MF,MF,MF",
    "c1,s1.tif,p1,10,20,MF,MF,HN",
    "c2,s1.tif,p1,30,40,HN,HN,",
    "c4,s2.tif,p2,70,80,T,,",
    "c5,s3.tif,p2,90,95,?,HN,T",
]


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, ROWS)


def write(folder: Path, rows: list[str]) -> Path:
    (folder / "cells.csv").write_text("\n".join([HEADER, *rows]))
    return folder


def changed(number: int, row: str) -> list[str]:
    return [row if i == number else old for i, old in enumerate(ROWS)]


def test_labels_kinds_votes_and_groups(folder, make_spec):
    cells = read_cells(make_spec(), folder, negatives="all")
    table = cells.table
    assert table["cell_id"].tolist() == ["c1", "c2", "c3", "c4"]  # sorted; the ignored one is gone
    assert cells.labels.tolist() == [1, 0, 1, 0]
    assert cells.labels.dtype == np.int8
    assert table["negative_kind"].tolist() == ["", "hard", "", "other"]
    assert table["votes"].tolist() == [[1, 0], [0], [1, 1], []]
    assert cells.groups.tolist() == ["toy/s1.tif", "toy/s1.tif", "toy/s2.tif", "toy/s2.tif"]
    assert cells.group_level == "slide"
    assert table["split"].tolist() == [""] * 4
    assert isinstance(table.index, pd.RangeIndex)


@pytest.mark.parametrize(
    ("negatives", "expected"), [("hard", "c1 c2 c3"), ("other", "c1 c3 c4"), ("all", "c1 c2 c3 c4")]
)
def test_negatives_are_chosen(folder, make_spec, negatives, expected):
    assert read_cells(make_spec(), folder, negatives=negatives).table["cell_id"].tolist() == expected.split()


def test_the_order_of_the_file_changes_nothing(tmp_path, make_spec):
    expected = read_cells(make_spec(), write(tmp_path, ROWS))
    for seed in range(5):
        cells = read_cells(make_spec(), write(tmp_path, random.Random(seed).sample(ROWS, len(ROWS))))
        pd.testing.assert_frame_equal(cells.table, expected.table)
        assert cells.sha256() == expected.sha256()


def test_the_hash_covers_cell_slide_group_and_label(tmp_path, make_spec):
    hashes = {read_cells(make_spec(), write(tmp_path, ROWS)).sha256()}
    for row in ("c9,s2.tif,p2,50,60,MF,MF,MF", "c3,s9.tif,p2,50,60,MF,MF,MF", "c3,s2.tif,p2,50,60,HN,MF,MF"):
        hashes.add(read_cells(make_spec(), write(tmp_path, changed(0, row))).sha256())
    hashes.add(read_cells(make_spec(group="case"), write(tmp_path, ROWS)).sha256())
    assert len(hashes) == 5
    moved = read_cells(make_spec(), write(tmp_path, changed(0, "c3,s2.tif,p2,51,60,MF,HN,HN")))
    assert moved.sha256() in hashes  # positions and votes are hashed elsewhere


def test_take_keeps_the_order_given(folder, make_spec):
    cells = read_cells(make_spec(), folder)
    assert cells.take(np.array([2, 0])).table["cell_id"].tolist() == ["c3", "c1"]
    assert cells.take(np.array([True, False, True])).table["cell_id"].tolist() == ["c1", "c3"]
    assert cells.take(np.array([2, 0])).table.index.tolist() == [0, 1]
    assert cells.take(np.array([2, 0, 1])).sha256() == cells.sha256()


@pytest.mark.parametrize(
    ("number", "row", "message"),
    [
        (1, "c3,s1.tif,p1,10,20,MF,MF,HN", r"line 3: the cell_id 'c3' was there before"),
        (1, "c1,s1.tif,p1,nan,20,MF,MF,HN", r"line 3: x is 'nan', and a position must be a finite number"),
        (1, "c1,s1.tif,p1,10,-inf,MF,MF,HN", r"line 3: y is '-inf'"),
        (1, "c1,s1.tif,p1,10,,MF,MF,HN", r"line 3: y is ''"),
        (1, "c1,,p1,10,20,MF,MF,HN", r"line 3: its slide is empty"),
        (1, " ,s1.tif,p1,10,20,MF,MF,HN", r"line 3: its cell_id is empty"),
        (
            1,
            "c1,s1.tif,p1,10,20,Mitosis,MF,HN",
            r"line 3: unknown label 'Mitosis'; .* knows 'MF' \(positive\)",
        ),
        (1, "c1,s1.tif,p1,10,20,MF,mf,HN", r"line 3: unknown vote 'mf'"),
        (2, "c2,s1.tif,p1,30,40,MF,HN,", r"one class only: all 3 cells are 'mitotic figure', with --negatives hard"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line(tmp_path, make_spec, number, row, message):
    with pytest.raises(DataError, match=message) as caught:
        read_cells(make_spec(), write(tmp_path, changed(number, row)))
    assert "\n" not in caught.value.message


def test_a_mixture_of_labels_is_named_whole(tmp_path, make_spec):
    rows = [
        f"c{i},s1.tif,p1,1,2,{label},,"
        for i, label in enumerate(["MF", "HN", "1", "1.0", "True", "yes", "x", "y", "1"])
    ]
    with pytest.raises(
        DataError, match=r"line 4: unknown label '1', '1.0', 'True', 'yes', 'x' and 1 others.*6 rows more"
    ):
        read_cells(make_spec(), write(tmp_path, rows))


def test_one_class_only(tmp_path, make_spec):
    with pytest.raises(DataError, match=r"one class only") as caught:
        read_cells(make_spec(), write(tmp_path, [ROWS[0], ROWS[3]]))
    assert caught.value.hint == "Its negatives are of another kind: --negatives other."
    with pytest.raises(DataError, match=r"none of the 1 cells of dataset 'toy' is a 'mitotic figure'"):
        read_cells(make_spec(), write(tmp_path, [ROWS[2]]))


def test_unknown_kind_of_negatives(folder, make_spec):
    with pytest.raises(DataError, match=r"negatives is 'soft'; it must be one of hard, other, all"):
        read_cells(make_spec(), folder, negatives="soft")


def test_cases_are_groups_and_a_missing_one_is_never_replaced_by_its_slide(tmp_path, make_spec):
    cells = read_cells(make_spec(group="case"), write(tmp_path, ROWS))
    assert cells.groups.tolist() == ["toy/p1", "toy/p1", "toy/p2"]
    assert cells.group_level == "case"
    rows = changed(2, "c2,s1.tif,,30,40,HN,HN,")
    with pytest.raises(DataError, match=r"line 4: its case is empty, and dataset 'toy' is grouped by case"):
        read_cells(make_spec(group="case"), write(tmp_path, rows))
    assert len(read_cells(make_spec(group="slide"), write(tmp_path, rows))) == 3


def test_domains_by_template_and_by_slide_name(folder, make_spec):
    domains = {"place": "{case}-{a}", "scanner": SlideNames(patterns={"s1.*": "XR", "s[23].*": "CS2"})}
    cells = read_cells(make_spec(domains=domains), folder)
    assert cells.domains == ("place", "scanner")
    assert cells.table["domain_place"].tolist() == ["p1-MF", "p1-HN", "p2-MF"]
    assert cells.table["domain_scanner"].tolist() == ["XR", "XR", "CS2"]
    with pytest.raises(DataError, match=r"line 6: no pattern of domain 'scanner' matches the slide 's3.tif'"):
        read_cells(make_spec(domains={"scanner": SlideNames(patterns={"s1.*": "XR", "s2.*": "CS2"})}), folder)
    with pytest.raises(DataError, match=r"line 4: domain 'lab' is empty"):
        read_cells(make_spec(domains={"lab": "{b}"}), folder)


def test_mpp_by_number_by_domain_by_hand_and_by_file(folder, make_spec):
    domains = {"scanner": SlideNames(patterns={"s1.*": "XR", "s[23].*": "CS2"})}
    table = MppByDomain(domain="scanner", values={"XR": 0.23, "CS2": 0.25})

    def mpp(spec, **more):
        return read_cells(spec, folder, **more).table["mpp"].tolist()

    assert mpp(make_spec(mpp=0.5)) == [0.5] * 3
    assert mpp(make_spec(mpp=table, domains=domains)) == [0.23, 0.23, 0.25]
    assert mpp(make_spec(mpp=table, domains=domains), mpp=0.4) == [0.4] * 3
    assert np.isnan(mpp(make_spec(mpp=None))).all()
    with pytest.raises(DataError, match=r"no microns per pixel are stated for 'CS2', only for XR"):
        mpp(make_spec(mpp=MppByDomain(domain="scanner", values={"XR": 0.23}), domains=domains))
    for impossible in (0.0, -1.0, 250.0, float("nan"), float("inf")):
        with pytest.raises(DataError, match=r"um/px cannot be meant"):
            mpp(make_spec(), mpp=impossible)


def test_official_split(folder, make_spec):
    cells = read_cells(make_spec(test_slides=("s2.tif",)), folder)
    assert cells.table["split"].tolist() == ["train", "train", "test"]
    with pytest.raises(DataError, match=r"no cell on 1 of 2 official test slides of dataset 'toy', such as s2.tiff"):
        read_cells(make_spec(test_slides=("s1.tif", "s2.tiff")), folder)


def test_the_folder_given_is_taken(folder, make_spec):
    assert select_data_folder(make_spec(), folder) == folder


def test_a_folder_that_is_missing_empty_or_a_file_is_one_sentence(tmp_path, make_spec):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name, problem in (("absent", "does not exist"), ("empty", "is empty"), ("file", "is a file, not a folder")):
        with pytest.raises(DataError, match=rf"the data folder {tmp_path / name} of dataset 'toy' {problem}") as caught:
            select_data_folder(make_spec(), tmp_path / name)
        assert caught.value.hint == "Point --data to the folder that holds cells.csv."
    with pytest.raises(DataError, match=r"no folder of its files was given") as caught:
        select_data_folder(make_spec(), None)
    assert "--data DIR" in caught.value.hint


def prepare(folder: Path) -> None:
    with Path(os.environ["PREPARED_LOG"]).open("a") as log:
        log.write(f"{os.getpid()}\n")
    write(folder, ROWS)


def prepare_badly(folder: Path) -> None:
    write(folder, ROWS)
    raise RuntimeError("the renderer broke")


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREPARED_LOG", str(tmp_path / "log"))
    return tmp_path


def select_in_process(spec) -> str:
    return str(select_data_folder(spec, None))


def test_a_dataset_is_made_once_by_two_processes(own_home, make_spec):
    spec = make_spec(prepare=prepare, prepare_version=3)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        folders = pool.map(select_in_process, [spec, spec], chunksize=1)
    assert set(folders) == {str(own_home / "home" / "datasets" / "toy-v3")}
    assert len((own_home / "log").read_text().split()) == 1
    assert len(read_cells(spec, Path(folders[0]))) == 3
    assert select_data_folder(spec, None) == Path(folders[0])
    assert len((own_home / "log").read_text().split()) == 1


def test_a_dataset_that_cannot_be_made_leaves_nothing_half(own_home, make_spec):
    with pytest.raises(DataError, match=r"dataset 'toy' could not be made in .*toy-v0: the renderer broke") as caught:
        select_data_folder(make_spec(prepare=prepare_badly), None)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert [path.name for path in (own_home / "home" / "datasets").iterdir() if path.is_dir()] == []


def test_room_on_the_disk_is_checked_first(own_home, make_spec, monkeypatch):
    usage = shutil.disk_usage(own_home)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(StorageError, match=r"dataset 'toy' needs 500 MB .*only 1 MB are free"):
        select_data_folder(make_spec(prepare=prepare), None)
    assert not (own_home / "log").exists()


def test_the_hash_of_cells_is_that_of_their_sorted_rows(tmp_path, make_spec, monkeypatch):
    """Whatever the order of the table, and however many rows are hashed at a time."""
    cells = read_cells(make_spec(), write(tmp_path, ROWS))
    rows = sorted(zip(*(cells.table[name].tolist() for name in ("cell_id", "slide", "group", "label")), strict=True))
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    expected = hashlib.sha256(lines.encode()).hexdigest()
    monkeypatch.setattr(cells_module, "BLOCK", 2)
    assert cells.sha256() == expected
    assert cells.take(np.random.default_rng(0).permutation(len(cells))).sha256() == expected


def test_group_codes_count_the_names_in_their_order(tmp_path, make_spec):
    cells = read_cells(make_spec(), write(tmp_path, ROWS))
    names, codes = np.unique(cells.groups, return_inverse=True)
    assert len(names) > 1
    assert np.array_equal(cells.group_codes, codes)


def test_shared_texts_are_categories_in_the_order_of_their_names(tmp_path, make_spec):
    """And stay so through every table that is made of another; a part of the cells counts its own groups alone."""
    strange = [*ROWS, "c6,z🔬.tif,p9,1,2,MF,,", "c7,z�.tif,p9,1,2,HN,,", "c8,Z.tif,p9,1,2,HN,,"]
    cells = read_cells(make_spec(), write(tmp_path, strange), negatives="all")
    other = replace(cells, spec=make_spec(name="other"))
    joined = join_cells([cells, other], as_domain="dataset")
    for each in (cells, cells.by_image(), joined, cells.take(np.array([4, 5, 2]))):
        shared = each.table[[name for name in each.table if name in REPEATED or name.startswith("domain_")]]
        assert set(REPEATED) <= set(shared)
        for name in shared:
            assert isinstance(shared[name].dtype, pd.CategoricalDtype)
            assert shared[name].cat.categories.tolist() == sorted(shared[name].cat.categories)
        names, codes = np.unique(each.groups, return_inverse=True)
        assert np.array_equal(each.group_codes, codes)
        assert each.table["group"].nunique() == len(names)
    assert cell_table(joined.table).select_dtypes("category").empty  # what is written is plain text
