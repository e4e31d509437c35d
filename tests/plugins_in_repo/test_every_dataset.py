"""Every dataset here is listed, says what to fetch, and is described, checked and audited in its true layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from dataset_layouts import LAYOUTS

from mitozoo.cli import main
from mitozoo.plugins.registry import load_registry
from mitozoo.testing.label_files import label_file_findings

PLUGINS = {path.parent.name for path in (Path(__file__).parents[2] / "plugins").glob("*/pyproject.toml")}
SPECS = {one.spec.name: one.spec for one in load_registry().datasets if one.plugin in PLUGINS}


@pytest.fixture
def folder(request, tmp_path):
    """Return a folder with the label files of the dataset that the test is about."""
    name = request.getfixturevalue("name")
    LAYOUTS[name][0](tmp_path, SPECS[name])
    return tmp_path


def test_all_are_listed_and_have_a_layout_here():
    listed = json.loads(CliRunner().invoke(main, ["datasets", "--json"]).stdout)
    assert {entry["name"] for entry in listed} >= SPECS.keys()
    assert {name for name, spec in SPECS.items() if spec.prepare is None} == LAYOUTS.keys()


@pytest.mark.parametrize("name", LAYOUTS)
def test_without_its_files_one_sentence_says_what_to_fetch(name, tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path))
    done = CliRunner().invoke(main, ["describe", name])
    assert (done.exit_code, done.stdout) == (2, "")
    sentence, *advice = done.stderr.splitlines()
    assert sentence.startswith(f"Error: dataset '{name}' ")
    assert "no folder of its files was given" in sentence
    spec = SPECS[name]
    assert (f"mitozoo fetch {name}" if spec.files else spec.by_hand) in " ".join(advice)


@pytest.mark.parametrize("name", LAYOUTS)
def test_its_label_files_are_described(name, folder):
    done = CliRunner().invoke(main, ["describe", name, "--data", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["classes"]["positive"], found["classes"]["hard"]) == LAYOUTS[name][1:]
    assert found["images"]["named"] > 0
    assert found["domains"].keys() == SPECS[name].domains.keys()
    assert bool(found["split"]) == bool(SPECS[name].test_slides or SPECS[name].split)
    assert CliRunner().invoke(main, ["describe", name, "--data", str(folder)]).exit_code == 0


@pytest.mark.parametrize("name", LAYOUTS)
def test_its_label_files_pass_their_checks(name, folder):
    findings = list(label_file_findings(SPECS[name], folder))
    failed = {finding.what for finding in findings if finding.status == "FAIL"}
    assert failed <= {"table_sha256"}, findings  # these files hold a few cells of the released ones
    assert {"label files", "read twice", "classes", "groups", "positions", "images"} <= {one.what for one in findings}


@pytest.mark.parametrize("name", LAYOUTS)
def test_it_is_audited(name, folder):
    done = CliRunner().invoke(main, ["audit", name, "--data", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    audit = json.loads(done.stdout)
    assert audit["leaks"] == 0
    assert {"group leaks", "overlapping crops", "one-class groups"} <= {one["kind"] for one in audit["findings"]}


def test_info_tells_whose_cases_are_known():
    def shared(name: str) -> dict[str, str]:
        return json.loads(CliRunner().invoke(main, ["info", name, "--json"]).stdout)["shares_images_with"]

    assert shared("midogpp") == {
        "ami-br": "which cases is told", "atnorm-md": "which cases is not told", "midog21": "which cases is told",
        "midog22": "which cases is told", "midog25-atypical": "which cases is not told",
    }  # fmt: skip
    assert shared("brecahad") == {"brecahad-all": "which cases is told"}
    assert shared("demo") == {}


@pytest.mark.parametrize("name", LAYOUTS)
def test_info_tells_what_a_careful_user_asks(name):
    done = CliRunner().invoke(main, ["info", name, "--kind", "dataset"])
    assert done.exit_code == 0, done.output
    told = {line.split()[0]: line for line in done.stdout.splitlines()[1:] if line.strip()}
    asked = (
        "positive_class negative_class negatives_origin labelled_by voters independent_votes derived_from license "
        "reference group files by_hand not_for_eval"
    )
    assert set(asked.split()) <= told.keys()
    shared = [line for field, line in told.items() if field.startswith("shares_images_with.")]
    assert bool(shared) == bool(SPECS[name].derived_from or any(name in other.derived_from for other in SPECS.values()))
