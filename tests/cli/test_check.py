"""`mitozoo check` on really installed plugins and on datasets: exit codes, what goes to stdout, and JSON."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from huggingface_hub import constants
from tiny_distributions import Tiny, offering

from mitozoo.cli import main
from mitozoo.plugins.registry import reset_registry


def check(*arguments):
    """Run the command in this process, where torch is there already."""
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


@pytest.fixture(scope="module")
def site(installed):
    return installed(
        Tiny("mitozoo-plugin-check-toy", offering("[model('toy')]")),
        Tiny("mitozoo-plugin-check-heavy", "import numpy\n" + offering("[model('heavy')]")),
    )


@pytest.fixture
def here(site, monkeypatch):
    """Have these plugins beside those of the repository, and no hub: `--offline` comes too late for its client."""
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    reset_registry()
    yield
    reset_registry()


def test_a_model_that_passes(here):
    done = check("colour-statistics")
    assert done.exit_code == 0, done.stderr
    assert "PASS  dimension" in done.stdout
    assert "FAIL" not in done.stdout
    assert done.stderr.startswith("colour-statistics: ")


def test_weights_of_ones_own_stand_in_for_the_hub(here, tmp_path):
    """As for eval: the file that a person fetched by hand, and no other."""
    import timm
    from safetensors.torch import save_file

    file = tmp_path / "mine.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), file)
    done = check("toy", "--weights", file, "--offline")
    assert done.exit_code == 0, done.stderr
    assert "PASS  dimension" in done.stdout
    done = check("toy", "--weights", tmp_path / "none", "--offline")
    assert done.exit_code == 1
    assert "FAIL  weights" in done.stdout
    assert f"there is no weight file {tmp_path / 'none'}" in done.stdout


def test_json_is_alone_on_stdout(here):
    done = check("toy", "--json", "--offline")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["passed"]
    told = {finding["what"]: finding for finding in report["findings"]}
    assert told["weights"]["status"] == "WARN"
    assert "MITOZOO_WEIGHTS" in told["weights"]["mend"]
    assert "NOT CHECKED" in told["network"]["detail"]


def test_a_failure_is_exit_code_1(here):
    done = check("heavy", "--offline")
    assert done.exit_code == 1
    assert "FAIL  light import" in done.stdout
    assert "imports numpy (mitozoo_plugin_check_heavy.py, line" in done.stdout
    assert "mend: Import it inside the function" in done.stdout


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("toyy", "there is no model or dataset 'toyy'\nDid you mean 'toy'?"),
        ("none.csv", "there is no table of cells at none.csv"),
    ],
)
def test_an_unknown_name_is_exit_code_2(here, name, told):
    done = check(name)
    assert done.exit_code == 2
    assert told in done.stderr
    assert done.stdout == ""


def test_a_dataset_is_found_by_its_name_or_its_table(tmp_path):
    (tmp_path / "mine.csv").write_text("slide,x,y,label\na.tif,1,2,1\na.tif,3,4,0\nb.tif,5,6,1\nb.tif,7,8,0\n")
    for name in ("midog21", str(tmp_path / "mine.csv")):
        done = check(name)
        assert done.exit_code == 0, done.output
        assert "PASS  record" in done.stdout
    report = json.loads(check(tmp_path / "mine.csv", "--json").stdout)
    told = {finding["what"]: finding["detail"] for finding in report["findings"]}
    assert told["groups"].startswith("2 slides, 2 with positives")
    assert "none of 2 images is in" in told["images"]


def test_a_label_file_that_fails_is_exit_code_1(tmp_path):
    (tmp_path / "MIDOG.json").write_text('{"images": [')
    done = check("midog21", "--data", tmp_path)
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
    done = check(*arguments)
    assert done.exit_code == 2
    assert told in done.stderr
