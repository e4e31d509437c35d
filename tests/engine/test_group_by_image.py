"""`--group image`: images count as if they were independent, and whoever reads the result is told."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_zoo import copy_of

from mitozoo.data.cells import read_cells
from mitozoo.engine.evaluate import evaluate
from mitozoo.engine.request import Request
from mitozoo.engine.verification import verify_run
from mitozoo.errors import DataError, ProtocolError
from mitozoo.plugins.registry import load_registry
from mitozoo.results.schema import violations


def test_groups_are_image_files_and_the_result_says_so(zoo, tmp_path):
    by_slide = read_cells(load_registry().dataset("tiny").spec, zoo)
    by_image = by_slide.by_image()
    assert by_image.table["group"].iloc[0] == "tiny/slide-00.tif"
    assert by_image.sha256() != by_slide.sha256()  # so that the run has another id
    assert by_image.take(np.array([1, 0])).group_level == "image"
    result = evaluate("steady", "tiny", out=tmp_path, folds=1, group="image")
    assert violations(result.document) == []
    assert verify_run(result.folder)
    assert result.document["dataset"]["group_level"] == "image"
    assert result.document["dataset"]["cells_sha256"] == by_image.sha256()
    assert "not independent: grouped by image" in result.document["marks"]
    assert "in 14 images" in result.remarks()[-1]


def test_patches_of_one_slide_are_refused(zoo, tmp_path):
    lines = (zoo / "cells.csv").read_text().splitlines()
    data = copy_of(zoo, tmp_path / "data")
    table = data / "patches.csv"
    header = "cell_id,slide,file,x,y,label"
    cells = [line.split(",") for line in lines[1:]]
    table.write_text(
        "\n".join([header, *(f"{c[0]},s{c[1][-1]},{c[1]}.tif,{c[4]},{c[5]},{c[6]}" for c in cells)]) + "\n"
    )
    with pytest.raises(DataError, match=r"4 slides of dataset 'patches' hold cells of several images") as refusal:
        evaluate("steady", str(table), out=tmp_path, group="image")
    assert "patches of one slide may overlap" in str(refusal.value.hint)


def test_no_other_word_will_do():
    with pytest.raises(ProtocolError, match=r"group is 'slide'; it may be 'image'"):
        Request(model="m", dataset="d", group="slide")
