"""A table of slides beside the label file: joined by slide, mended by an explicit table, never half known."""

from __future__ import annotations

import json

import pytest
from fuzzed_files import EDITS, FUZZED, edited, valid_or_refused
from hypothesis import given
from test_midog_json import LABELS, LAYOUT, document

from mitozoo.data.cells import read_cells
from mitozoo.errors import DataError, SpecError
from mitozoo.plugins.formats import SlideTable

TABLE = "Slide;Set;Scanner\n7;train;Hamammatsu XR\n8;test;Hamamatsu XR\n"
SLIDES = SlideTable(
    path="slides.csv", slide="{Slide}", matches="{image_id}", mend={"Scanner": {"Hamammatsu XR": "Hamamatsu XR"}}
)


@pytest.fixture
def spec(make_spec):
    return make_spec(
        cells=LAYOUT, labels=LABELS, group="case", slides=SLIDES, split="{Set}", domains={"scanner": "{Scanner}"}
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "cells.json").write_text(json.dumps(document()))
    (tmp_path / "slides.csv").write_text(TABLE)
    return tmp_path


def test_domains_and_split_come_from_the_table_and_spelling_is_mended(folder, spec):
    table = read_cells(spec, folder).table
    assert table["split"].tolist() == ["train", "train", "test", "test"]
    assert table["domain_scanner"].unique().tolist() == ["Hamamatsu XR"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE + "99;test;XR\n", r"slides.csv, line 4: slide '99' is none of the 3 slides of .*cells.json"),
        (TABLE + "7;test;XR\n", r"slides.csv, line 4: slide '7' was there before, on line 2"),
        (TABLE.replace("8;test", "9;test"), r"slides.csv has no row for slide '008.tiff', and .*cells.json has cells"),
        (TABLE.replace("8;test", "8;validation"), r"annotation 12: its side of the official split is 'validation'"),
        (TABLE.replace("Scanner", "scanner"), r"has no column 'Scanner'; it has Slide, Set, scanner"),
        (TABLE.replace(";Hamamatsu XR", ";"), r"annotation 12: domain 'scanner' is empty"),
        ("", r"has no column 'Scanner'; it has none"),
        (TABLE.replace("\n8", "\n8;9"), r"line 3: 4 fields, and the header has 3"),
    ],
)
def test_what_does_not_fit_is_told_with_file_and_line(folder, spec, table, message):
    (folder / "slides.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        read_cells(spec, folder)


def test_a_missing_table_is_told(folder, spec):
    (folder / "slides.csv").unlink()
    with pytest.raises(DataError, match=r"expects its label file at .*slides.csv"):
        read_cells(spec, folder)


def test_a_split_is_given_once(make_spec):
    with pytest.raises(SpecError, match=r"the official split is given twice"):
        make_spec(split="{Set}", test_slides=("a",))


@given(edits=EDITS)
@FUZZED
def test_any_table_is_joined_or_refused(folder, spec, edits):
    (folder / "slides.csv").write_bytes(edited(TABLE.encode(), edits))
    valid_or_refused(spec, folder)
