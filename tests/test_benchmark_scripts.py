"""The benchmarks' own parts: their shared row in the documentation, and the scripts for a GPU at a small size here."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
import torch
from script_files import REPOSITORY, load_script

from mitozoo.plugins.registry import reset_registry

BENCHMARKS = REPOSITORY / "benchmarks"
SCRIPTS = sorted(path.name for path in BENCHMARKS.glob("*.py"))
TABLE = """# Benchmarks

| what | command | measured | hardware | versions | date |
| --- | --- | --- | --- | --- | --- |
| a | `b` | c | d | e | f |

Not yet measured.
"""


@pytest.fixture
def recording(monkeypatch, tmp_path):
    """The shared module, its table in a folder of the test, and nothing said so far."""
    module = load_script("benchmarks/recording.py")
    monkeypatch.setitem(sys.modules, "recording", module)
    monkeypatch.setattr(module, "TABLE", tmp_path / "benchmarks.md")
    module.TABLE.write_text(TABLE)
    return module


def run(script, monkeypatch, *words):
    module = load_script(f"benchmarks/{script}")
    monkeypatch.setattr(sys, "argv", [f"benchmarks/{script}", *words])
    module.main()
    return module


def added(recording):
    """The cells of the row that was appended, all else being as it was."""
    lines = recording.TABLE.read_text().splitlines()
    place = lines.index("| a | `b` | c | d | e | f |") + 1
    assert "\n".join([*lines[:place], *lines[place + 1 :], ""]) == TABLE
    return [cell.strip() for cell in lines[place].strip("|").split(" | ")]


def test_a_row_says_what_was_measured_how_on_what_and_when(recording, tmp_path, monkeypatch, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "file").touch()
    words = ["--cells", "8", "--record", "--data", str(tmp_path / "data"), f"--eva={tmp_path / 'file'}", "--of", "a|b"]
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "probe.py"), *words])
    parser = recording.arguments("Time of a thing, against\nanother.\n\nFurther words.")
    for option in ("--cells", "--data", "--eva", "--of"):
        parser.add_argument(option)
    asked = parser.parse_args()
    recording.say("2.0 s   against 1.0 s\nratio 2")
    recording.say("equal | to 1e-6")
    recording.keep(asked, parser.description)
    text = recording.TABLE.read_text()
    assert text.count("\n| ") == 4
    row = text.splitlines()[5].replace("\\|", "/")
    what, command, measured, hardware, versions, date = (cell.strip() for cell in row.strip("|").split(" | "))
    assert what == "Time of a thing, against another"
    assert command == "`python benchmarks/probe.py --cells 8 --data DIR --eva=FILE --of 'a/b'`"
    assert measured == "2.0 s against 1.0 s; ratio 2; equal / to 1e-6"
    assert " cores of " in hardware
    assert f"torch {torch.__version__.partition('+')[0]}" in versions
    assert len(date.split("-")) == 3
    assert str(tmp_path) not in text
    assert capsys.readouterr().out.startswith("2.0 s   against")


def test_without_being_asked_nothing_is_written(recording, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x.py"])
    recording.say("something")
    recording.keep(recording.arguments("x").parse_args(), "x")
    assert recording.TABLE.read_text() == TABLE


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_needs_no_argument_and_those_that_can_keep_what_they_found(script):
    tree = ast.parse((BENCHMARKS / script).read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [getattr(call.func, "id", getattr(call.func, "attr", None)) for call in calls]
    options = [call for call, name in zip(calls, names, strict=True) if name == "add_argument"]
    for option in options:
        keywords = {keyword.arg for keyword in option.keywords}
        assert "required" not in keywords
        assert "--" in ast.unparse(option.args[0]) or "nargs" in keywords
    assert ("arguments" in names) == ("keep" in names)


@pytest.fixture
def everything_installed(fresh_registry, monkeypatch):
    """The plugins of this repository, whatever another test left."""
    monkeypatch.delenv("MITOZOO_PLUGINS", raising=False)
    reset_registry()


def test_the_grid_of_learning_curves_at_a_small_size(recording, everything_installed, monkeypatch):
    small = ["--cells", "600", "--embed-dim", "16", "--seeds", "2", "--fractions", "3", "--folds", "2"]
    script = run("learning_curves.py", monkeypatch, *small, "--device", "cpu", "--record")
    what, command, measured, *_ = added(recording)
    assert what.startswith("The whole grid of a learning curve")
    assert command == f"`python benchmarks/learning_curves.py {' '.join(small)} --device cpu`"
    assert measured.startswith("12 rows on 600 x 16 embeddings")
    assert measured.endswith("12 rows converged")
    cells, _ = script.made_up(20_000, 8)
    fits = script.grid(cells, 7, script.FRACTIONS, 5)
    assert len(fits) == 245  # what the goal speaks of
    assert len({fit.rows[0].row_id for fit in fits}) == 245


def test_the_share_of_the_matrix_peak_at_a_small_size(recording, everything_installed, monkeypatch):
    from mitozoo.models import matrix_peak

    monkeypatch.setattr(matrix_peak, "SIDES", (256,))
    monkeypatch.setattr(matrix_peak, "LOOP_SECONDS", 0.05)
    words = ["--models", "efficientnet-lite0", "--cells", "3", "--batch", "2", "--rounds", "1"]
    script = run("matrix_share.py", monkeypatch, *words, "--precision", "bf16", "--device", "cpu", "--record")
    _, _, measured, *_ = added(recording)
    peak, found = measured.split("; ")
    assert "matrix products in bf16 reach" in peak
    assert found.startswith("efficientnet-lite0: ")
    assert "% of that, median of 1" in found
    assert set(script.GOALS) == {"uni", "virchow2", "h-optimus-0"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to measure")
@pytest.mark.parametrize("script", ["learning_curves.py", "matrix_share.py"])
def test_where_there_is_no_gpu_it_is_said_in_one_line(script, recording, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        run(script, monkeypatch, "--record")
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith("not measured: ")
    assert told.count("\n") == 1
    assert recording.TABLE.read_text() == TABLE


def test_the_real_table_is_one_that_a_row_can_be_added_to():
    lines = (REPOSITORY / "docs" / Path("benchmarks.md")).read_text().splitlines()
    rows = [number for number, line in enumerate(lines) if line.startswith("|")]
    assert rows == list(range(rows[0], rows[-1] + 1))  # one table
    assert lines[rows[0]] == "| what | command | measured | hardware | versions | date |"
