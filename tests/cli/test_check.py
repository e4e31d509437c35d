"""`mitozoo check` on really installed plugins: exit codes, what goes to stdout, and JSON."""

from __future__ import annotations

import json

import pytest
from tiny_distributions import Tiny, offering, run_mitozoo


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
    [("toyy", "there is no model 'toyy'\nDid you mean 'toy'?"), ("demo", "'demo' is a dataset, not a model")],
)
def test_an_unknown_name_is_exit_code_2(site, name, told):
    done = run_mitozoo("check", name, sites=(site,))
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""
