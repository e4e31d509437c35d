"""`mitozoo eval --model A,B`: a table or a document a model, and one sentence for what cannot be."""

from __future__ import annotations

import json

import click.testing

from mitozoo.cli import main


def mitozoo(*arguments) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, list(map(str, arguments)), prog_name="mitozoo")


def test_several_models_give_one_document_or_table_after_the_other(own_home, tmp_path):
    asked = ("eval", "-m", "steady,shifted", "-d", "tiny", "--folds", "1", "--out", tmp_path)
    shown = mitozoo(*asked)
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert "\nshifted on tiny, " in shown.stderr[shown.stderr.index("steady on tiny, ") :]
    done = mitozoo(*asked, "--json")
    read, at = [], 0
    while at < len(done.stdout.rstrip()):
        document, end = json.JSONDecoder().raw_decode(done.stdout[at:].lstrip())
        at += len(done.stdout[at:]) - len(done.stdout[at:].lstrip()) + end
        read.append(document)
    assert [document["model"]["name"] for document in read] == ["steady", "shifted"]
    costs = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*/compute.json"))]
    assert len(costs) == 2
    assert all("embeddings of 2 models" in json.dumps(cost) for cost in costs)


def test_a_wrong_name_among_several_is_refused_before_any_work(zoo, tmp_path):
    done = mitozoo("eval", "-m", "steady,shfted", "-d", "tiny", "--out", tmp_path)
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: there is no model 'shfted'")
    assert not list(tmp_path.iterdir())


def test_weights_belong_to_one_model(zoo, tmp_path):
    done = mitozoo("eval", "-m", "steady,shifted", "-d", "tiny", "--weights", tmp_path / "w.pt")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: --weights are one model's")
