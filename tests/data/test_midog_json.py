"""JSON of the MIDOG family: corners told from sizes by evidence, votes kept, and every bad entry named."""

from __future__ import annotations

import copy
import json
import time

import numpy as np
import pytest
from fuzzed_files import EDITS, FUZZED, VALUES, edited, valid_or_refused
from hypothesis import given, settings
from hypothesis import strategies as st

from mitozoo.data.annotations import read_annotations
from mitozoo.data.cells import read_cells
from mitozoo.errors import DataError
from mitozoo.plugins.formats import MidogJson

LAYOUT = MidogJson(path="cells.json", images="images")
CORNERS = MidogJson(path="cells.json", images="images", boxes="corners", class_names={"1": "mitotic figure|mitose"})
LABELS = {"1": "positive", "2": "hard"}


def document(boxes: list[list[float]] | None = None) -> dict:
    boxes = boxes or [[900, 400, 950, 450], [10, 20, 60, 70], [1500, 30, 1550, 80], [-27, 300, 23, 350]]
    return {
        "info": {"version": "1.0"},
        "images": [
            {"id": 7, "file_name": "007.tiff", "width": 2000, "height": 1000, "tumor_type": "lung", "license": 1},
            {"id": 8, "file_name": "008.tiff", "width": 2000, "height": 1000, "tumor_type": "skin", "license": 1},
            {"id": 9, "file_name": "009.tiff", "width": 2000, "height": 1000, "tumor_type": "skin", "license": 1},
        ],
        "categories": [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "not mitotic figure"}],
        "annotations": [
            {"id": 10 + n, "bbox": box, "category_id": 1 + n % 2, "image_id": 7 + n // 2 % 2, "labels": [1, 1 + n % 2]}
            for n, box in enumerate(boxes)
        ],
    }


@pytest.fixture
def midog_spec(make_spec):
    def make(layout=LAYOUT, **changed):
        return make_spec(**{"cells": layout, "labels": LABELS, "group": "case"} | changed)

    return make


def write(folder, content) -> None:
    (folder / "cells.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_each_annotation_is_a_cell_at_the_centre_of_its_box(tmp_path, midog_spec):
    write(tmp_path, document())
    cells = read_cells(midog_spec(domains={"tumour": "{tumor_type}"}), tmp_path)
    table = cells.table
    assert table["cell_id"].tolist() == ["10", "11", "12", "13"]
    assert table[["x", "y"]].to_numpy().tolist() == [[925, 425], [35, 45], [1525, 55], [-2, 325]]
    assert table["label"].tolist() == [1, 0, 1, 0]
    assert table["votes"].tolist() == [[1, 1], [1, 0], [1, 1], [1, 0]]
    assert table["slide"].tolist() == ["007.tiff", "007.tiff", "008.tiff", "008.tiff"]
    assert table["file"].tolist()[0] == "images/007.tiff"
    assert table["group"].tolist() == ["toy/007", "toy/007", "toy/008", "toy/008"]
    assert table["domain_tumour"].tolist() == ["lung", "lung", "skin", "skin"]
    assert read_annotations(midog_spec(), tmp_path).slides["slide"] == ["007.tiff", "008.tiff", "009.tiff"]


def test_sizes_are_told_from_corners(tmp_path, midog_spec):
    rng = np.random.default_rng(0)
    corners = [[int(x), int(y), int(x) + 50, int(y) + 50] for x, y in rng.integers(0, 900, (200, 2))]
    sizes = [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in corners]
    centres = []
    for boxes in (corners, sizes):
        write(tmp_path, document(boxes))
        centres.append(read_cells(midog_spec(), tmp_path).table[["x", "y"]].to_numpy())
    np.testing.assert_array_equal(centres[0], centres[1])
    write(tmp_path, document(sizes))
    with pytest.raises(
        DataError, match=r"its boxes are not corners .*have no area; they look like a corner and a size"
    ):
        read_cells(midog_spec(CORNERS), tmp_path)


@given(
    places=st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 4000)), min_size=2, max_size=30, unique=True),
    side=st.integers(10, 80),
)
@settings(FUZZED, max_examples=100)
def test_no_box_is_ever_read_the_wrong_way_in_silence(tmp_path, midog_spec, places, side):
    for as_corners in (True, False):
        boxes = [[x, y, x + side, y + side] if as_corners else [x, y, side, side] for x, y in places]
        content = document(boxes)
        for image in content["images"]:
            image |= {"width": 7000, "height": 5000}
        write(tmp_path, content)
        try:
            table = read_cells(midog_spec(), tmp_path).table
        except DataError as error:
            refusal, table = error.message, None
        if table is None:
            assert "is in doubt" in refusal
        else:
            found = sorted(table[["x", "y"]].itertuples(index=False, name=None))
            assert found == sorted((x + side / 2, y + side / 2) for x, y in places)


def test_boxes_that_could_be_either_are_refused(tmp_path, midog_spec):
    write(tmp_path, document([[100, 100, 150, 150], [120, 110, 170, 160]]))
    with pytest.raises(DataError, match=r"whether its boxes are corners .* is in doubt: both would do"):
        read_cells(midog_spec(), tmp_path)
    assert read_cells(midog_spec(CORNERS), tmp_path).table["x"].tolist() == [125, 145]  # stated, and not contradicted


def change(path: list, value) -> dict:
    content = document()
    *parents, last = path
    place = content
    for key in parents:
        place = place[key]
    place[last] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (change(["annotations", 1, "bbox"], [1, 2, 3]), r"annotation 11: its bbox is \[1, 2, 3\]"),
        (change(["annotations", 1, "bbox"], None), r"annotation 11: its bbox is None"),
        (change(["annotations", 1, "bbox", 2], "60,5"), r"annotation 11: its bbox is .*four numbers"),
        (change(["annotations", 1, "bbox"], [5000, 20, 5050, 70]), r"lie outside their image|lies outside its image"),
        (change(["annotations", 1, "category_id"], 3), r"annotation 11: its category_id is 3, which the file does not"),
        (change(["annotations", 1, "image_id"], 99), r"annotation 11: its image_id is 99"),
        (change(["annotations", 1, "labels"], "12"), r"annotation 11: its labels are '12'"),
        (change(["annotations", 1, "labels"], [1, 5]), r"annotation 11: unknown vote '5'"),
        (change(["annotations", 1, "id"], 10), r"the cell_id '10' was there before"),
        (change(["annotations", 1, "id"], None), r"annotation number 1: its id is None"),
        (change(["images", 1, "id"], 7), r"image 7: another image has the same id"),
        (change(["images", 1, "file_name"], ""), r"image 8: it has no file_name"),
        (change(["categories", 0, "name"], "hard negative"), r"its class 1 is called 'hard negative', and should be"),
        (change(["categories"], []), r"has no class 1; its classes are none"),
        (change(["annotations"], []), r"holds no cells"),
        (change(["annotations"], {}), r"no list of objects 'annotations'"),
        ([], r"no list of objects 'images'"),
        ("", r"cannot be read as JSON"),
        (json.dumps(document())[:-40], r"cannot be read as JSON"),
        (json.dumps(document()).replace("900", "NaN"), r"it holds NaN"),
        ("[" * 100_000, r"cannot be read as JSON"),
    ],
)
def test_bad_content_is_refused_in_one_sentence(tmp_path, midog_spec, content, message):
    write(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        read_cells(midog_spec(CORNERS), tmp_path)
    assert "\n" not in caught.value.message


def test_one_box_of_many_outside_its_image_is_named(tmp_path, midog_spec):
    rng = np.random.default_rng(1)
    boxes = [[int(x), int(y), int(x) + 50, int(y) + 50] for x, y in rng.integers(0, 900, (200, 2))]
    boxes[123] = [2100, 20, 2150, 70]
    write(tmp_path, document(boxes))
    with pytest.raises(DataError, match=r"annotation 133: its box \(2100, 20, 2150, 70\) lies outside its image"):
        read_cells(midog_spec(CORNERS), tmp_path)


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path, midog_spec):
    text = json.dumps(document(), indent=1)
    write(tmp_path, text)
    expected = read_cells(midog_spec(), tmp_path).sha256()
    (tmp_path / "cells.json").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert read_cells(midog_spec(), tmp_path).sha256() == expected


PARTS = st.sampled_from(["images", "categories", "annotations"])
FIELDS = st.sampled_from(["id", "bbox", "category_id", "image_id", "labels", "file_name", "width", "height", "name"])


@given(changes=st.lists(st.tuples(PARTS, st.integers(0, 3), FIELDS, VALUES), min_size=1, max_size=4))
@FUZZED
def test_any_values_are_valid_or_refused(tmp_path, midog_spec, changes):
    content = copy.deepcopy(document())
    for part, place, field, value in changes:
        content[part][place % len(content[part])][field] = value
    write(tmp_path, content)
    valid_or_refused(midog_spec(CORNERS), tmp_path)
    valid_or_refused(midog_spec(), tmp_path)


@given(edits=EDITS)
@FUZZED
def test_any_bytes_are_valid_or_refused(tmp_path, midog_spec, edits):
    (tmp_path / "cells.json").write_bytes(edited(json.dumps(document()).encode(), edits))
    valid_or_refused(midog_spec(), tmp_path)


@pytest.mark.shared
def test_the_real_boxes_are_corners_by_evidence_alone(shared_data, make_spec):
    spec = make_spec(cells=MidogJson(path="MIDOG++.json", images="images"), labels=LABELS, group="case")
    start = time.process_time()
    table = read_cells(spec, shared_data / "annotations").table
    assert time.process_time() - start < 2  # about a fifth of a second on a machine of its own
    entries = json.loads((shared_data / "annotations" / "MIDOG++.json").read_text())["annotations"]
    assert len(entries) == len(table) == 26_286
    by_id = table.set_index("cell_id")
    for entry in entries[::37]:
        cell, (x1, y1, x2, y2) = by_id.loc[str(entry["id"])], entry["bbox"]
        assert (cell["x"], cell["y"]) == ((x1 + x2) / 2, (y1 + y2) / 2)
        assert cell["label"] == (entry["category_id"] == 1)
        assert cell["votes"] == [int(vote == 1) for vote in entry["labels"]]
        assert cell["slide"] == f"{entry['image_id']:03}.tiff"
