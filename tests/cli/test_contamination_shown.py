"""What a model has seen of a dataset is told by `info`, for both, and by the model itself."""

from __future__ import annotations

import json

import click.testing

from mitozoo.cli import main
from mitozoo.engine.subject import RegisteredModel
from mitozoo.plugins.registry import load_registry


def info(name: str) -> dict:
    done = click.testing.CliRunner().invoke(main, ["info", name, "--json"], prog_name="mitozoo")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_of_a_model_and_of_a_dataset():
    seen = info("gpfm")["contamination"]
    assert {"midog21", "midog22", "midogpp", "ami-br", "atnorm-br"} <= set(seen["images or cohort seen"])
    assert "ccmct" in seen["unknown"]  # its list is not whole
    dataset = info("midogpp")
    assert dataset["models"]["images or cohort seen"] == ["gpfm"]
    assert "declared none" not in dataset["models"]
    assert info("colour-statistics")["contamination"].keys() == {"declared none"}


def test_results_ask_all_relatives():
    registry = load_registry()
    gpfm = RegisteredModel(registry.model("gpfm"))
    states = {name: gpfm.contamination(registry.dataset(name).spec) for name in ("midogpp", "ccmct", "atnorm-br")}
    assert states == {"midogpp": "images or cohort seen", "ccmct": "unknown", "atnorm-br": "images or cohort seen"}
