"""A dataset by its registered name, or by the path of a table of one's own cells, the whole way to a result."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mitozoo.engine.evaluate import evaluate
from mitozoo.engine.find_dataset import data_folder, find_dataset, names_a_table
from mitozoo.errors import UnknownNameError


def test_only_a_path_of_a_table_names_one(tmp_path):
    assert names_a_table("cells.csv")
    assert names_a_table("data/Cells.PARQUET")
    assert not names_a_table("midogpp")
    assert not names_a_table("csv")
    assert data_folder("demo", None) is None
    assert data_folder("a/cells.csv", tmp_path) == tmp_path


def test_registered_names_are_found_and_others_are_not():
    assert find_dataset("demo").spec.name == "demo"
    with pytest.raises(UnknownNameError, match="demo"):
        find_dataset("dmeo")


def test_ones_own_cells_go_the_whole_way(tmp_path):
    """Twelve slides of dark or light cells, a table beside them, and one command."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(12):
        slide = random.normal(200, 8, (256, 256, 3))
        for place in range(4):
            x, y, label = 64 + 128 * (place % 2), 64 + 128 * (place // 2), (number + place) % 2
            slide[y - 16 : y + 16, x - 16 : x + 16] -= 90 * label
            rows.append({"file": f"{number:02}.png", "x": x, "y": y, "label": label, "mpp": 0.5})
        Image.fromarray(slide.clip(0, 255).astype(np.uint8)).save(tmp_path / f"{number:02}.png")
    pd.DataFrame(rows).to_csv(tmp_path / "cells.csv", index=False)
    result = evaluate("colour-statistics", str(tmp_path / "cells.csv"), out=tmp_path / "runs")
    assert result.document["dataset"]["groups"] == 12
    assert result.mean("auroc") > 0.9
