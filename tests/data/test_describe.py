"""What a dataset holds, from its label files alone: exact on the real MIDOG++ and BreCaHAD labels, without an image."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import mitozoo_plugin_brecahad
import mitozoo_plugin_midog
from mitozoo.cli import main
from mitozoo.data.cells import read_cells
from mitozoo.data.describe import describe_dataset

#: test images, positives and negatives in them; images, positives and negatives in all.
MIDOGPP = {
    "human breast cancer": (33, 339, 574, 150, 1721, 2714),
    "canine lung cancer": (10, 214, 250, 44, 855, 951),
    "canine lymphosarcoma": (12, 840, 870, 55, 3959, 4257),
    "canine cutaneous mast cell tumor": (11, 491, 291, 50, 2327, 1366),
    "human neuroendocrine tumor": (12, 115, 239, 55, 639, 1761),
    "canine soft tissue sarcoma": (22, 248, 542, 100, 1286, 2375),
    "human melanoma": (11, 220, 150, 49, 1150, 925),
}


@pytest.mark.shared
def test_midogpp_is_counted_exactly(shared_data):
    found = describe_dataset(mitozoo_plugin_midog.MIDOGPP, shared_data / "annotations")
    assert found["cells"] == 26_286
    assert found["classes"] == {"positive": 11_937, "hard": 14_349, "other": 0, "ignored": 0}
    images = found["images"]
    assert (images["named"], images["with_cells"], images["without_cells"]) == (553, 503, 50)
    assert (images["present"], images["missing"]) == (0, 553)
    assert images["first_missing"][0] == "images/001.tiff"
    assert found["votes"]["cells"] == 26_286
    assert found["groups"]["total"] == 503
    split = found["split"]
    assert {side: counts["images"] for side, counts in split.items()} == {"train": 392, "test": 111}
    assert (split["test"]["positive"], split["test"]["hard"]) == (2467, 2916)
    by_tumour = {}
    for tumour, whole in found["domains"]["tumour"].items():
        test = whole["split"]["test"]
        by_tumour[tumour] = tuple(part[key] for part in (test, whole) for key in ("images", "positive", "hard"))
    assert by_tumour == MIDOGPP
    scanners = {scanner: counts["images"] for scanner, counts in found["domains"]["scanner"].items()}
    assert scanners == {"3D Histech": 199, "Aperio CS2": 100, "Hamamatsu S360": 50, "Hamamatsu XR": 154}
    assert {lab: counts["images"] for lab, counts in found["domains"]["lab"].items()} == {
        "UMC Utrecht": 254, "VMU Vienna": 114, "AMC New York": 85, "FU Berlin": 50,
    }  # fmt: skip


@pytest.mark.shared
def test_no_slide_of_one_scanner_hides_behind_a_misspelling(shared_data):
    table = read_cells(mitozoo_plugin_midog.MIDOGPP, shared_data / "annotations").table
    source = table[table["domain_scanner"] != "Hamamatsu XR"]
    numbers = source["slide"].str.removesuffix(".tiff").astype(int)
    assert not numbers.between(1, 50).any()  # the fifty that the split file misspells
    assert table["mpp"].groupby(table["domain_scanner"]).unique().map(list).to_dict() == {
        "3D Histech": [0.25], "Aperio CS2": [0.25], "Hamamatsu S360": [0.23], "Hamamatsu XR": [0.23],
    }  # fmt: skip


@pytest.mark.shared
def test_brecahad_is_counted_exactly_and_all_its_images_are_there(shared_data):
    found = describe_dataset(mitozoo_plugin_brecahad.BRECAHAD, shared_data / "brecahad")
    assert found["classes"] == {"positive": 12, "hard": 23, "other": 1628, "ignored": 0}
    assert (found["images"]["named"], found["images"]["missing"]) == (15, 0)
    assert (found["groups"]["level"], found["groups"]["total"]) == ("case", 1)
    every = describe_dataset(mitozoo_plugin_brecahad.BRECAHAD_ALL, shared_data / "brecahad")
    assert (every["classes"]["positive"], every["classes"]["hard"]) == (12, 1651)
    assert (every["groups"]["total"], every["groups"]["with_positives"]) == (2, 1)


@pytest.mark.shared
def test_the_command_prints_a_table_or_json(shared_data):
    runner = CliRunner()
    arguments = ["describe", "midogpp", "--data", str(shared_data / "annotations")]
    printed = runner.invoke(main, arguments)
    assert printed.exit_code == 0, printed.output
    assert "553 named, 503 with cells, 0 in the folder" in printed.output
    assert "11,937" in printed.output
    as_json = runner.invoke(main, [*arguments, "--json"])
    assert json.loads(as_json.stdout) == describe_dataset(mitozoo_plugin_midog.MIDOGPP, shared_data / "annotations")


def test_ones_own_table_is_described_by_its_path(tmp_path):
    (tmp_path / "mine.csv").write_text("slide,x,y,label\na.tif,1,2,1\na.tif,3,4,0\nb.tif,5,6,1\n")
    (tmp_path / "a.tif").touch()
    done = CliRunner().invoke(main, ["describe", str(tmp_path / "mine.csv"), "--json"])
    found = json.loads(done.stdout)
    assert found["classes"] == {"positive": 2, "hard": 1, "other": 0, "ignored": 0}
    assert found["images"]["first_missing"] == ["b.tif"]


def test_a_table_that_is_not_there_exits_with_2(tmp_path):
    done = CliRunner().invoke(main, ["describe", str(tmp_path / "none.csv")])
    assert done.exit_code == 2
    assert "there is no table of cells at" in done.stderr
