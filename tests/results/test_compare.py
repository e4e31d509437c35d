"""Runs compared on the same cells: nothing against itself, no order that is not sure, no ranking of unlikes."""

from __future__ import annotations

import copy
import json
import shutil
from typing import TYPE_CHECKING

import click.testing
import pandas as pd
import pytest

import mitozoo
from mitozoo.cli import main
from mitozoo.errors import DataError, MitozooError
from mitozoo.results.compare import compare
from mitozoo.results.forest import Branch, branches, draw_picture, forest_lines
from mitozoo.results.run_folder import RESULT, dump

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def runs(zoo, tmp_path_factory) -> dict[str, Path]:
    """Return the folders of three models' runs on one dataset, and of one elsewhere."""
    out = tmp_path_factory.mktemp("runs")
    found = {name: mitozoo.evaluate(name, "tiny", out=out, seeds=2).folder for name in ("steady", "shifted", "chance")}
    return found | {"elsewhere": mitozoo.evaluate("steady", "tiny-official", out=out).folder}


@pytest.fixture(scope="module")
def three(runs) -> dict:
    return compare([runs[name] for name in ("steady", "shifted", "chance")], replicates=999)


def test_a_run_against_itself(runs):
    [found] = compare([runs["steady"], runs["steady"]], replicates=99)["comparisons"]
    auroc = found["pairs"][0]["metrics"]["auroc"]
    assert auroc == {"value": 0, "ci_low": 0, "ci_high": 0, "p": 1, "p_holm": 1}
    assert [each["rank_low"] for each in found["ranks"]] == [1, 1]
    assert [each["rank_high"] for each in found["ranks"]] == [2, 2]
    assert [each["best"] for each in found["ranks"]] == [0.5, 0.5]
    assert [run["name"] for run in found["runs"]] == ["steady (linear-probe) #1", "steady (linear-probe) #2"]


def test_shuffled_files_change_nothing(runs, tmp_path):
    copied = shutil.copytree(runs["shifted"], tmp_path / runs["shifted"].name)
    for name in ("cells.parquet", "splits.parquet", "predictions.parquet"):
        pd.read_parquet(copied / name).sample(frac=1, random_state=0).to_parquet(copied / name, index=False)
    straight = compare([runs["steady"], runs["shifted"]], replicates=99)
    assert compare([runs["steady"], copied], replicates=99) == straight
    [back] = compare([copied, runs["steady"]], replicates=99)["comparisons"]
    value = straight["comparisons"][0]["pairs"][0]["metrics"]["auroc"]["value"]
    assert back["pairs"][0]["metrics"]["auroc"]["value"] == pytest.approx(-value)


def test_it_shows_itself_in_a_notebook(three):
    shown = three._repr_html_()
    auroc = three["comparisons"][0]["pairs"][1]["metrics"]["auroc"]
    assert shown.startswith("<table><caption>auroc on tiny, label fraction 1</caption>")
    assert shown.count("<tr>") == 4
    assert f"<td>steady - chance</td><td>{auroc['value']:+.3f}</td>" in shown
    named = copy.deepcopy(three)
    named["comparisons"][0]["runs"][0]["name"] = "<script>"
    assert "&lt;script&gt; - chance" in named._repr_html_()
    assert "<script" not in named._repr_html_()


def test_every_pair_is_there_and_corrected(three):
    [found] = three["comparisons"]
    assert [(pair["first"], pair["second"]) for pair in found["pairs"]] == [(0, 1), (0, 2), (1, 2)]
    assert (found["basis"]["n_groups"], found["basis"]["method"], found["basis"]["seeds"]) == (14, "jackknife", 2)
    means = [run["means"]["auroc"] for run in found["runs"]]
    for pair in found["pairs"]:
        each = pair["metrics"]["auroc"]
        assert each["value"] == pytest.approx(means[pair["first"]] - means[pair["second"]])
        assert each["p_holm"] >= each["p"]
    assert found["pairs"][1]["metrics"]["auroc"]["p_holm"] < 0.01
    assert found["pairs"][1]["metrics"]["calibration_slope"]["p"] is None


def test_ranks_are_ranges_where_nothing_sure_is_known(three):
    [found] = three["comparisons"]
    steady, shifted, chance = found["ranks"]
    assert (steady["rank_low"], steady["rank_high"]) == (shifted["rank_low"], shifted["rank_high"]) == (1, 2)
    assert (chance["rank_low"], chance["rank_high"], chance["best"]) == (3, 3, 0)
    assert steady["best"] + shifted["best"] == pytest.approx(1)
    assert three["across"] is None


def test_other_cells_are_refused(runs):
    with pytest.raises(DataError, match="has other cells, groups or labels than"):
        compare([runs["steady"], runs["elsewhere"]])
    with pytest.raises(DataError, match="at least two runs"):
        compare([runs["steady"]])
    with pytest.raises(DataError, match="no metric 'auc'"):
        compare([runs["steady"], runs["chance"]], metric="auc", replicates=9)


def test_unlike_runs_are_in_no_ranking(runs, tmp_path):
    def changed(part, key, value) -> str:
        copied = shutil.copytree(runs["shifted"], tmp_path / f"{part}-{key}")
        document = json.loads((copied / RESULT).read_text())
        document[part][key] = value
        (copied / RESULT).write_text(dump(document))
        [found] = compare([runs["steady"], copied], replicates=9)["comparisons"]
        assert found["ranks"] is None
        assert found["pairs"][0]["metrics"]["auroc"]["p"] is not None
        return found["no_ranks"]

    assert changed("protocol", "hash", "0" * 64) == "different protocols: no ranks"
    assert changed("geometry", "seen_um", None) == "the models saw windows of different size: no ranks"


def test_the_forest_as_text():
    lines = forest_lines([Branch("a - b", 0.1, 0.05, 0.15, 0.004), Branch("a - c", -0.1, -0.2, 0.0, 0.05)], 80)
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("a - b  ")
    assert lines[0].endswith("+0.100 [+0.050, +0.150]  p 0.0040")
    zero = lines[0].index("|")
    assert lines[0].index("o") > zero == lines[1].index("|")
    assert lines[1].index("o") < zero
    assert forest_lines([], 80) == []


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_forest_as_a_picture(ending, three, tmp_path):
    pytest.importorskip("matplotlib")
    wild = json.loads(json.dumps(three))
    wild["comparisons"][0]["runs"][0]["name"] = "<b>$x_{1$"
    ranks = {"ranks": [1.2, 2.0, 2.8], "p": 0.01, "critical_difference": 1.35, "datasets": 6, "cliques": [[0, 1]]}
    wild["across"] = ranks | {"models": ["a", "b", "$c"]}
    files = [tmp_path / f"{n}.{ending}" for n in (0, 1)]
    for file in files:
        draw_picture(wild, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert len(files[0].read_bytes()) > 5000
    assert len(branches(wild["comparisons"][0], "auroc")) == 3


def test_a_picture_of_no_kind_is_refused(three, tmp_path):
    with pytest.raises(MitozooError, match=r"must end in \.svg or \.png"):
        draw_picture(three, tmp_path / "forest.txt")


def mitozoo_command(*arguments) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, list(map(str, arguments)), prog_name="mitozoo")


def test_the_command(runs):
    two = mitozoo_command("compare", runs["steady"], runs["chance"])
    assert two.exit_code == 0, two.output
    assert "within slide auroc" in two.stdout
    assert "not corrected for their number" in two.stderr
    three = mitozoo_command("compare", runs["steady"], runs["shifted"], runs["chance"], "--metric", "brier")
    assert three.exit_code == 0, three.output
    assert "1 to 2" in three.stdout
    assert "corrected for 3 pairs (Holm)" in three.stderr
    assert three.stdout.count("  p ") == 3
    refused = mitozoo_command("compare", runs["steady"], runs["elsewhere"])
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: ")
