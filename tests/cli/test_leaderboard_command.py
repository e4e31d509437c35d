"""`mitozoo leaderboard`: runs as evaluated become a site; bad input ends in a sentence that names the file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import click.testing
import pytest
from made_results import document, verdict, write
from parsed_page import Page

import mitozoo
from mitozoo.cli import main
from mitozoo.results.result import Result

if TYPE_CHECKING:
    from pathlib import Path


def ask(*arguments: object) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, ["leaderboard", *map(str, arguments)])


@pytest.fixture(scope="module")
def runs(zoo, tmp_path_factory) -> Path:
    """Return the folder of two models' real runs."""
    out = tmp_path_factory.mktemp("runs")
    for name in ("steady", "chance"):
        mitozoo.evaluate(name, "tiny", out=out, fractions=(0.5, 1.0))
    return out


def test_real_runs_become_a_site(runs, tmp_path):
    answer = ask("build", runs, "-o", tmp_path / "site")
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == f"leaderboard: {tmp_path / 'site' / 'index.html'}\n"
    assert answer.stderr == "4 entries of 2 models in 2 tables\n"
    tables = {file.name: Page(file.read_text("utf-8")) for file in (tmp_path / "site" / "boards").iterdir()}
    assert len(tables) == 2
    [whole] = [page for name, page in tables.items() if "50-of-labels" not in name]
    shown = {row.all("th")[0].text: [cell.text for cell in row.all("td")] for row in whole.all("tbody")[0].all("tr")}
    for folder in runs.iterdir():
        found = Result.read(folder).document
        auroc = found["summary"][0]["metrics"]["auroc"]
        row = shown[found["model"]["name"]]
        assert row[1] == f"{auroc['mean']:.3f} [{auroc['ci_low']:.3f}, {auroc['ci_high']:.3f}]"
        assert set(found["marks"]) <= {mark.text for mark in whole.all("span")}
        assert row[-1] == json.loads((folder / "compute.json").read_text())["calls"][-1]["created"][:10]
    assert "synthetic data" in whole.root.text
    assert "<b>upright</b>" in whole.root.text
    assert whole.all("b") == []


def test_verdicts_raise_the_level(tmp_path):
    sha = write(tmp_path / "results" / "one", document())
    verdict(tmp_path / "verdicts", sha, "arithmetic verified", flags=["identical to another model's"])
    answer = ask("build", tmp_path / "results", "--verdicts", tmp_path / "verdicts", "--output", tmp_path / "site")
    assert answer.exit_code == 0, answer.output
    [board] = (tmp_path / "site" / "boards").iterdir()
    page = Page(board.read_text("utf-8"))
    cells = [cell.text for cell in page.all("tbody")[0].all("td")]
    assert cells[3] == "arithmetic verified"
    assert "identical to another model's" in cells[2]


def test_a_refused_document_is_named_and_can_be_left_out(tmp_path):
    write(tmp_path / "results" / "good", document())
    write(tmp_path / "results" / "odd", document("odd") | {"schema": "mitozoo-result/9"})
    answer = ask("build", tmp_path / "results", "-o", tmp_path / "site")
    assert answer.exit_code == 1
    assert "odd/result.json: it has schema 'mitozoo-result/9'" in answer.stderr
    assert "--skip-refused" in answer.stderr
    assert not (tmp_path / "site").exists()
    answer = ask("build", tmp_path / "results", "-o", tmp_path / "site", "--skip-refused")
    assert answer.exit_code == 0
    assert "left out odd/result.json: it has schema" in answer.stderr


@pytest.mark.parametrize(("arguments", "said"), [
    (["build", "nothing", "-o", "site"], "nothing is no folder"),
    (["build", "empty", "-o", "site"], "there is no result.json below empty"),
    (["build", "results", "-o", "results"], "results holds other files, which a site would replace"),
    (["build", "results", "-o", "site", "--verdicts", "none"], "none is no folder"),
    (["build", "results", "-o", "site", "--verdicts", "bad"], "is no verdict of"),
    (["serve", "results"], "results is no leaderboard"),
])  # fmt: skip
def test_bad_input_is_a_sentence_and_a_hint(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "results" / "one", document())
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.json").write_text("{}")
    answer = ask(*arguments)
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith("Error: ")
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "site").exists()


def test_a_site_is_served_until_somebody_interrupts(tmp_path):
    write(tmp_path / "results" / "one", document())
    assert ask("build", tmp_path / "results", "-o", tmp_path / "site").exit_code == 0
    command = [sys.executable, "-m", "mitozoo", "leaderboard", "serve", str(tmp_path / "site"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=20) as page:
            assert b"mitozoo leaderboard" in page.read()
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)
    assert server.returncode == 130
