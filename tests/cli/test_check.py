"""`mitozoo check` on really installed plugins and on datasets: exit codes, what goes to stdout, and JSON."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tiny_distributions import Tiny, offering, run_mitozoo

from mitozoo.cli import main


@pytest.fixture(scope="module")
def site(installed):
    return installed(
        Tiny("mitozoo-plugin-toy", offering("[model('toy')]")),
        Tiny("mitozoo-plugin-heavy", "import numpy\n" + offering("[model('heavy')]")),
    )


def test_a_model_that_passes(site):
    done = run_mitozoo("check", "colour-statistics", sites=(site,))
    assert done.returncode == 0, done.stderr
    assert "PASS  dimension" in done.stdout
    assert "FAIL" not in done.stdout
    assert done.stderr.startswith("colour-statistics: ")


def test_weights_of_ones_own_stand_in_for_the_hub(site, tmp_path):
    """As for eval: the file that a person fetched by hand, and no other."""
    import timm
    from safetensors.torch import save_file

    file = tmp_path / "mine.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), file)
    done = run_mitozoo("check", "toy", "--weights", str(file), "--offline", sites=(site,))
    assert done.returncode == 0, done.stderr
    assert "PASS  dimension" in done.stdout
    done = run_mitozoo("check", "toy", "--weights", str(tmp_path / "none"), "--offline", sites=(site,))
    assert done.returncode == 1
    assert "FAIL  weights" in done.stdout
    assert f"there is no weight file {tmp_path / 'none'}" in done.stdout


def test_json_is_alone_on_stdout(site):
    done = run_mitozoo("check", "toy", "--json", "--offline", sites=(site,))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["passed"]
    told = {finding["what"]: finding for finding in report["findings"]}
    assert told["weights"]["status"] == "WARN"
    assert "MITOZOO_WEIGHTS" in told["weights"]["mend"]
    assert "NOT CHECKED" in told["network"]["detail"]


def test_a_failure_is_exit_code_1(site):
    done = run_mitozoo("check", "heavy", "--offline", sites=(site,))
    assert done.returncode == 1
    assert "FAIL  light import" in done.stdout
    assert "imports numpy (mitozoo_plugin_heavy.py, line" in done.stdout
    assert "mend: Import it inside the function" in done.stdout


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("toyy", "there is no model or dataset 'toyy'\nDid you mean 'toy'?"),
        ("none.csv", "there is no table of cells at none.csv"),
    ],
)
def test_an_unknown_name_is_exit_code_2(site, name, told):
    done = run_mitozoo("check", name, sites=(site,))
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""


def test_a_dataset_is_found_by_its_name_or_its_table(tmp_path):
    (tmp_path / "mine.csv").write_text("slide,x,y,label\na.tif,1,2,1\na.tif,3,4,0\nb.tif,5,6,1\nb.tif,7,8,0\n")
    for name in ("midog21", str(tmp_path / "mine.csv")):
        done = CliRunner().invoke(main, ["check", name])
        assert done.exit_code == 0, done.output
        assert "PASS  record" in done.stdout
    report = json.loads(CliRunner().invoke(main, ["check", str(tmp_path / "mine.csv"), "--json"]).stdout)
    told = {finding["what"]: finding["detail"] for finding in report["findings"]}
    assert told["groups"].startswith("2 slides, 2 with positives")
    assert "none of 2 images is in" in told["images"]


def test_a_label_file_that_fails_is_exit_code_1(tmp_path):
    (tmp_path / "MIDOG.json").write_text('{"images": [')
    done = CliRunner().invoke(main, ["check", "midog21", "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "FAIL  label files" in done.stdout
    assert f"{tmp_path / 'MIDOG.json'} cannot be read as JSON" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["midog21", "--kind", "model"], "'midog21' is a dataset, not a model"),
        (["midog21", "--weights", "x.pth"], "'midog21' is a dataset, and --weights is not for a dataset"),
        (["colour-statistics", "--data", "."], "'colour-statistics' is a model, and --data is not for a model"),
    ],
)
def test_what_does_not_go_together_is_exit_code_2(arguments, told):
    done = CliRunner().invoke(main, ["check", *arguments])
    assert done.exit_code == 2
    assert told in done.stderr
