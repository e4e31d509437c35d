"""The plugin `ami-br` on the real release: exact counts, and the votes of its own label file."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import mitozoo_plugin_ami_br
from mitozoo.data.audit import audit_split
from mitozoo.data.cells import read_cells
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import plan_patches
from mitozoo.errors import DataError

SPEC = mitozoo_plugin_ami_br.AMI_BR


@pytest.fixture(scope="module")
def cells_of():
    read = {}

    def get(folder):
        return read.setdefault(folder, read_cells(SPEC, folder / "ami-br"))

    return get


def test_it_offers_one_dataset_as_plain_data():
    assert mitozoo_plugin_ami_br.mitozoo_datasets() == [SPEC]
    document = json.loads(json.dumps(SPEC.to_json()))
    assert document["positive_class"] == "atypical mitotic figure"
    assert document["cells"]["file_words"] == {"majority_atypical": {"True": "Atypical", "False": "Normal"}}


def test_importing_it_imports_nothing_heavy():
    heavy = "numpy pandas torch PIL openslide tifffile sklearn scipy"
    code = f"import sys, mitozoo_plugin_ami_br; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


@pytest.mark.shared
def test_counts(shared_data, cells_of):
    cells = cells_of(shared_data)
    assert len(cells) == 3720
    assert cells.labels.sum() == 832
    assert np.unique(cells.groups).size == 202
    assert cells.group_level == "slide"
    assert set(cells.table["negative_kind"]) == {"", "hard"}
    slides = cells.table.drop_duplicates("slide")["domain_source"].value_counts().to_dict()
    assert slides == {"TUPAC16": 67, "Aperio CS2": 47, "Hamamatsu XR": 44, "Hamamatsu S360": 44}
    atypical = cells.table.groupby("slide")["label"].sum()
    assert (atypical == 0).sum() == 58
    mpp = cells.table.groupby("domain_source")["mpp"].unique().map(list).to_dict()
    assert mpp == {"TUPAC16": [0.25], "Aperio CS2": [0.25], "Hamamatsu XR": [0.23], "Hamamatsu S360": [0.23]}


@pytest.mark.shared
def test_votes_labels_and_places_are_those_of_the_label_file(shared_data, cells_of):
    cells = cells_of(shared_data).table.set_index("cell_id")
    with (shared_data / "ami-br" / "AMI-BR.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3720
    counted = [0, 0, 0, 0]
    for row in rows:
        cell = cells.loc[f"{row['dataset']}_{row['uid']}"]
        votes = [int(row[f"expert{person}_atypical"] == "True") for person in (1, 2, 3)]
        assert cell["votes"] == votes
        assert cell["label"] == int(row["majority_atypical"] == "True") == int(sum(votes) >= 2)
        assert (cell["x"], cell["y"]) == (float(row["x"]), float(row["y"]))
        assert cell["group"] == f"ami-br/{row['dataset']}/{row['slide']}"
        if row["dataset"] == "MIDOG21":
            scanner = ("Hamamatsu XR", "Hamamatsu S360", "Aperio CS2")[(int(row["slide"].split(".")[0]) - 1) // 50]
            assert cell["domain_source"] == scanner
        else:
            assert cell["domain_source"] == "TUPAC16"
        counted[sum(votes)] += 1
    assert counted == [2496, 392, 420, 412]


@pytest.mark.shared
def test_every_patch_is_read_as_it_was_released(shared_data, cells_of, tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path))
    cells = cells_of(shared_data)
    plan = plan_patches(cells, Geometry(None, "reflect"), target_px=224)
    assert len(plan) == 3720
    assert set(np.round(plan.seen_um, 2)) == {29.44, 32.0}
    for row in range(0, 3720, 97):
        np.testing.assert_array_equal(plan.read(row), np.asarray(Image.open(plan.file(row)).convert("RGB")))
        assert plan.file(row).parent.name == ("Atypical" if cells.labels[row] else "Normal")
    assert np.unique(plan.row_keys(), axis=0).shape == (3720, 16)
    audit = audit_split(cells, [], side_px=plan.side_px, pixel_hashes=None, beyond_border=plan.beyond_border)
    assert audit["overlapping_crops"] == 191, "crops of one slide that share tissue"
    assert audit["windows_beyond_border"] == 0


@pytest.mark.shared
def test_the_windows_of_the_other_datasets_do_not_fit(shared_data, cells_of):
    with pytest.raises(DataError, match=r"a window of 56 um is 243 px, larger than the 128 px patches"):
        plan_patches(cells_of(shared_data), Geometry(56.0, "reflect"), target_px=224)


@pytest.mark.shared
def test_pointing_one_folder_too_high_is_answered_with_the_right_one(shared_data):
    with pytest.raises(DataError, match=r"dataset 'ami-br' expects its label file at .*AMI-BR.csv") as caught:
        read_cells(SPEC, shared_data)
    assert caught.value.hint == f"Point --data to {shared_data / 'ami-br'}."
