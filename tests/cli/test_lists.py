"""`models`, `datasets`, `plugins`, `protocols`, `info`: plain tables for people, one JSON document for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tiny_distributions import Tiny, offering, run_mitozoo

from mitozoo.plugins.record import canonical_json

if TYPE_CHECKING:
    from pathlib import Path

TOYS = offering(
    "[model('toy', title='A toy\\nin two lines', gated=True, unverified=['preprocessing.mpp'], aliases=['plaything'])]",
    "[dataset('toy-cells', synthetic=True, domains={'scanner': '{scanner}'}), dataset('toy')]",
)


@pytest.fixture(scope="module")
def site(installed) -> Path:
    return installed(Tiny("mitozoo-plugin-toy", TOYS, version="2.1"), Tiny("mitozoo-plugin-bad", "1 / 0"))


def run(*arguments: str, site: Path) -> tuple[str, str]:
    done = run_mitozoo(*arguments, sites=(site,), MITOZOO_PLUGINS="toy,bad")
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_models_table(site):
    stdout, stderr = run("models", site=site)
    header, line = stdout.splitlines()
    assert header.split() == [
        "MODEL",
        "DIM",
        "POOLING",
        "INPUT",
        "TRAINED",
        "AT",
        "LICENSE",
        "PLUGIN",
        "MARKS",
        "TITLE",
    ]
    assert (
        " ".join(line.split()) == "toy 512 gap 224 px 0.5 um/px Apache-2.0 mitozoo-plugin-toy gated A toy in two lines"
    )
    assert line.index("512") == header.index("DIM")
    assert stderr == "1 plugin does not work: bad (see why: mitozoo plugins)\n"


def test_models_json(site):
    [entry] = json.loads(run("models", "--json", site=site)[0])
    assert (entry["name"], entry["plugin"], entry["version"]) == ("toy", "mitozoo-plugin-toy", "2.1")
    assert entry["qualified_name"] == "mitozoo-plugin-toy/toy"
    assert entry["preprocessing"]["mean"] == [0.5, 0.5, 0.5]
    assert len(entry["fingerprint"]) == 64
    assert canonical_json(entry)


def test_datasets_mark_what_is_synthetic(site):
    lines = run("datasets", site=site)[0].splitlines()
    assert ["synthetic" in line for line in lines] == [False, False, True]
    assert "scanner" in lines[2]
    entries = json.loads(run("datasets", "--json", site=site)[0])
    assert {entry["name"]: entry["synthetic"] for entry in entries} == {"toy": False, "toy-cells": True}


def test_plugins_table(site):
    lines = {line.split()[0]: line for line in run("plugins", site=site)[0].splitlines()}
    assert "ok" in lines["toy"]
    assert "1 model, 2 datasets" in lines["toy"]
    assert lines["bad"].endswith("import: ZeroDivisionError: division by zero")


def test_traceback_of_a_plugin_that_works_or_is_not_there(site):
    assert run("plugins", "--traceback", "toy", site=site) == ("", "mitozoo-plugin-toy 2.1 works\n")
    done = run_mitozoo("plugins", "--traceback", "tov", sites=(site,))
    assert done.returncode == 2
    assert done.stderr.startswith("Error: no plugin 'tov' is installed\nDid you mean 'toy'?")


def test_nothing_installed_says_what_to_install(site):
    done = run_mitozoo("models", sites=(site,), MITOZOO_PLUGINS="none-of-them")
    assert (done.returncode, done.stdout) == (0, "")
    assert "pip install mitozoo-plugin-imagenet" in done.stderr
    assert json.loads(run_mitozoo("models", "--json", sites=(site,), MITOZOO_PLUGINS="none-of-them").stdout) == []


def test_info_shows_every_field_and_what_is_not_verified(site):
    lines = {line.split()[0]: line for line in run("info", "plaything", "--kind", "model", site=site)[0].splitlines()}
    [entry] = json.loads(run("models", "--json", site=site)[0])
    for field, value in entry.items():
        if not isinstance(value, dict):
            assert field in lines
    assert lines["fingerprint"].split()[1] == entry["fingerprint"]
    assert lines["preprocessing.mpp"].endswith("verified: no")
    assert not lines["preprocessing.size"].endswith("verified: no")
    assert lines["gated"].split()[1] == "yes"


def test_info_json_is_one_object(site):
    found = json.loads(run("info", "toy-cells", "--json", site=site)[0])
    assert found["kind"] == "dataset"
    assert found["labels"] == {"1": "positive", "0": "hard"}


def test_info_asks_which_where_a_model_and_a_dataset_bear_the_name(site):
    done = run_mitozoo("info", "toy", sites=(site,))
    assert done.returncode == 2
    assert done.stderr == (
        "Error: 'toy' is a model and a dataset\nSay which: mitozoo info toy --kind model or --kind dataset\n"
    )


def test_protocols_and_their_info():
    presets = json.loads(run_mitozoo("protocols", "--json").stdout)
    assert "linear-probe" in [preset["name"] for preset in presets]
    assert run_mitozoo("protocols").stdout.splitlines()[0].split() == ["PROTOCOL", "HASH", "TITLE"]
    found = json.loads(run_mitozoo("info", "linear-probe", "--json").stdout)
    assert found["kind"] == "protocol"
    assert found["hash"] in [preset["hash"] for preset in presets]
    assert "Did you mean 'linear-probe'" in run_mitozoo("info", "linear-prob").stderr
