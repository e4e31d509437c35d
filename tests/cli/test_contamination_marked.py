"""A result of a model that has seen the dataset is marked, in its document and in the list of runs."""

from __future__ import annotations

import click.testing

from mitozoo.cli import main
from mitozoo.engine.evaluate import evaluate
from mitozoo.engine.subject import RegisteredModel


def test_results_are_marked(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr(RegisteredModel, "contamination", lambda self, dataset: "labels seen")
    document = evaluate("steady", "tiny", out=tmp_path, folds=1).document
    assert document["contamination"] == "labels seen"
    assert [one for one in document["marks"] if "the model saw" in one] == ["the model saw labels of it in training"]
    line = click.testing.CliRunner().invoke(main, ["runs", "--out", str(tmp_path)]).stdout.splitlines()[1]
    assert "labels seen" in line
