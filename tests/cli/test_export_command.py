"""`export` and `card`: files for viewers and model pages, by the command line."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import click.testing
import pytest
from huggingface_hub import ModelCard
from tiny_zoo import copy_of

import mitozoo
from mitozoo.cli import main
from mitozoo.cli.export import CSV, LAYOUTS
from mitozoo.exports.export import VIEWERS

if TYPE_CHECKING:
    from pathlib import Path


def run_command(*arguments) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, list(map(str, arguments)), prog_name="mitozoo")


def refused(*arguments) -> str:
    done = run_command(*arguments)
    assert (done.exit_code, done.stdout) == (2, ""), (done.output, done.exception)
    return done.stderr


@pytest.fixture(scope="module")
def run(zoo, tmp_path_factory) -> Path:
    return mitozoo.evaluate("steady", "tiny", out=tmp_path_factory.mktemp("runs"), seeds=2).folder


def test_every_format(run, tmp_path):
    assert (CSV, *VIEWERS) == LAYOUTS
    for layout in LAYOUTS:
        done = run_command("export", run, "--format", layout, "-o", tmp_path / layout)
        assert done.exit_code == 0, (done.output, done.exception)
        assert done.stdout == f"export: {tmp_path / layout}\n"
        assert done.stderr.startswith("168 cells: ")
        assert done.stderr.endswith("; 10 fits at label fraction 1\n")
    assert len(list((tmp_path / "qupath").iterdir())) == 14
    assert len((tmp_path / "csv").read_text().splitlines()) == 169
    assert len(json.loads((tmp_path / "midog").read_text())["annotations"]) == 168
    with closing(sqlite3.connect(tmp_path / "slide-runner")) as database:
        assert database.execute("SELECT COUNT(*) FROM Annotations").fetchone() == (168,)


def test_what_cannot_be_exported(run, tmp_path):
    assert "has no seed 5" in refused("export", run, "-o", tmp_path / "x", "--seed", 5)
    assert "there is something at" in refused("export", run, "-o", tmp_path, "--format", "qupath")
    said = refused("export", run, "-o", tmp_path / "x", "--data", tmp_path / "nowhere")
    assert "does not exist" in said
    assert not (tmp_path / "x").exists()


def test_one_seed(run, tmp_path):
    assert run_command("export", run, "-o", tmp_path / "x", "--seed", 1).stderr.endswith("5 fits at label fraction 1\n")


def test_the_table_of_a_run_whose_dataset_is_away(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    document = json.loads((run / "result.json").read_text())
    document["dataset"]["name"] = "gone"
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("cells.parquet", "splits.parquet", "predictions.parquet"):
        (copy / name).write_bytes((run / name).read_bytes())
    (copy / "result.json").write_text(json.dumps(document))
    done = run_command("export", copy, "-o", tmp_path / "x.csv")
    assert done.exit_code == 0
    assert done.stderr.startswith("without positions: 'gone' is not available")
    assert ",x," not in (tmp_path / "x.csv").read_text().splitlines()[0]
    assert "'gone' is not available" in refused("export", copy, "-o", tmp_path / "y", "--format", "midog")


def test_ones_own_table_is_named_by_data(run, zoo, tmp_path):
    table = copy_of(zoo, tmp_path / "data") / "own.csv"
    lines = (zoo / "cells.csv").read_text().splitlines()
    head = lines[0].split(",")
    rows = [dict(zip(head, line.split(","), strict=True)) for line in lines[1:]]
    table.write_text(
        "slide,file,x,y,label\n"
        + "".join(f"{r['slide']},{r['slide']}.tif,{r['x']},{r['y']},{int(r['label'] == 'MF')}\n" for r in rows)
    )
    own = mitozoo.evaluate("steady", str(table), out=tmp_path / "runs", folds=1).folder
    assert "was a table of one's own cells" in refused("export", own, "-o", tmp_path / "x", "--format", "midog")
    done = run_command("export", own, "-o", tmp_path / "x", "--format", "midog", "--data", table)
    assert done.exit_code == 0, done.output
    assert "cells were never tested" in done.stderr


def test_card(run, tmp_path):
    done = run_command("card", run, "--bibtex", tmp_path / "used.bib")
    assert done.exit_code == 0, (done.output, done.exception)
    assert done.stderr == f"references: {tmp_path / 'used.bib'}\n"
    assert ModelCard(done.stdout).data.model_name == "steady"
    assert (tmp_path / "used.bib").read_text() in done.stdout
    written = run_command("card", run, "-o", tmp_path / "README.md")
    assert (written.stdout, written.stderr) == ("", f"card: {tmp_path / 'README.md'}\n")
    assert (tmp_path / "README.md").read_text() == done.stdout


def test_a_document_that_breaks_its_schema_makes_no_card(run, tmp_path):
    document = json.loads((run / "result.json").read_text())
    document["summary"][0]["metrics"]["auroc"]["mean"] = "good"
    (tmp_path / "result.json").write_text(json.dumps(document))
    done = run_command("card", tmp_path)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "result.json breaks its schema: summary.0.metrics.auroc.mean" in done.stderr
