"""The log: one whole JSON object a line, with run, task and stage, no secret in it, and no run lost by it."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import resource
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitozoo.engine.log import ERROR, WARNING, as_entry, log_to, tell, tell_failure, within
from mitozoo.engine.progress import Progress
from mitozoo.errors import DataError, StorageError

LINE = {"time", "level", "run", "task", "stage", "message", "process", "event"}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_has_time_level_run_task_stage_message_and_the_fields(tmp_path):
    path = tmp_path / "deep" / "log.jsonl"
    with log_to(path):
        tell("hello")
        with within(run="a-run", task="fold0"), within(stage="probe"):
            tell("row", "a row\nis done", level=WARNING, cells=3, where=Path("x"), mean=np.float32(0.5), nan=math.nan)
    tell("nobody hears this")
    first, second = lines(path)
    assert set(first) == LINE
    assert first["event"] == first["message"] == "hello"
    assert (first["run"], first["task"], first["stage"]) == (None, None, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert {name: second[name] for name in second.keys() - {"time", "process"}} == {
        "level": "warning", "run": "a-run", "task": "fold0", "stage": "probe", "message": "a row\nis done",
        "event": "row", "cells": 3, "where": "x", "mean": 0.5, "nan": "nan",
    }  # fmt: skip
    assert second["process"] == os.getpid()


def test_a_failure_keeps_where_it_happened_however_far_out_it_is_told(tmp_path):
    path = tmp_path / "log.jsonl"
    error = DataError("no cells in it", hint="Look again.")
    with log_to(path), within(run="a-run"):
        with pytest.raises(DataError), within(task="fold1"), Progress().stage("cells"):
            raise error
        tell_failure(error, file="cells.csv")
        tell_failure(ValueError("not one of ours"))
    stage, told, foreign = lines(path)
    assert (stage["event"], stage["stage"], stage["task"]) == ("stage", "cells", "fold1")
    assert (told["run"], told["task"], told["stage"]) == ("a-run", "fold1", "cells")
    assert (told["level"], told["message"], told["hint"]) == ("error", "no cells in it", "Look again.")
    assert (told["error"], told["file"]) == ("DataError", "cells.csv")
    assert (foreign["message"], foreign["task"]) == ("ValueError: not one of ours", None)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.builds(object),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.sets(st.integers()),
)


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters()), st.dictionaries(st.sampled_from(["a", "token", "run", "seconds"]), anything))
def test_whatever_is_told_is_one_line_of_json(isolated_home, message, fields):
    path = isolated_home / "any.jsonl"
    path.unlink(missing_ok=True)
    with log_to(path):
        tell("any", message, **fields)
    [line] = path.read_text(encoding="ascii").splitlines()
    assert set(json.loads(line)) >= LINE


def test_no_secret_reaches_the_log(tmp_path, monkeypatch):
    path, token = tmp_path / "log.jsonl", "hf_" + "x" * 34
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    with log_to(path), within(run=token):
        tell("note", f"asked with {token}", headers={"Authorization": f"Bearer {token}"}, key="0123456789abcdef")
        tell_failure(OSError("https://me:secretsecret@example.org/?X-Amz-Signature=secretsecret"))
    text = path.read_text()
    assert not re.search(r"xxx|secretsecret|0123456789", text)
    assert len(lines(path)) == 2


WRITER = """
import sys, pathlib
from mitozoo.engine.log import log_to, tell, within
with log_to(pathlib.Path(sys.argv[1])), within(run=sys.argv[2]):
    for number in range(200):
        tell("row", "x" * 20000, number=number)
"""


def test_lines_of_several_processes_and_threads_never_mix(tmp_path):
    path = tmp_path / "log.jsonl"
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, path, str(n)]) for n in range(3)]
    with log_to(path):
        threads = [threading.Thread(target=lambda: [tell("row", "y" * 20000) for _ in range(50)]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [process.wait() for process in processes] == [0, 0, 0]
    written = lines(path)
    assert len(written) == 3 * 200 + 3 * 50
    for run in "012":
        assert [line["number"] for line in written if line["run"] == run] == list(range(200))


def test_a_second_log_is_appended_to_the_first(tmp_path):
    for number in range(2):
        with log_to(tmp_path / "log.jsonl"):
            tell("row", number=number)
    assert [line["number"] for line in lines(tmp_path / "log.jsonl")] == [0, 1]


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write the log"), log_to(tmp_path / "file" / "log.jsonl"):
        pass


LIMITED = """
import resource, signal, sys, pathlib
from mitozoo.engine.log import log_to, tell
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # whatever would make a file larger fails, as on a full disk
with log_to(pathlib.Path(sys.argv[1])):
    for number in range(20):
        tell("row", "x" * 100)
print("the work went on")
"""


def test_a_log_that_cannot_grow_is_told_once_and_the_work_goes_on(tmp_path):
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path / "log.jsonl"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "the work went on\n"
    assert done.stderr.count("\n") == 1
    assert "the log" in done.stderr
    assert "ends here: File too large" in done.stderr


def test_a_field_cannot_stand_in_for_what_every_line_has(caplog):
    with caplog.at_level("INFO", logger="mitozoo"), within(run="mine"):
        tell("any", time="never", run="yours", process=0)
    entry = as_entry(caplog.records[-1])
    assert entry["run"] == "mine"
    assert entry["time"] != "never"
    assert entry["process"] == os.getpid()


class Unspeakable:
    def __str__(self):
        raise RuntimeError("not even that")


def test_what_cannot_be_shown_costs_its_own_line_alone(tmp_path, capsys):
    with log_to(tmp_path / "log.jsonl"):
        tell("odd", thing=Unspeakable())
        tell("next")
        logging.getLogger("mitozoo.somewhere").warning("told by %s", "logging itself")
    first, second = lines(tmp_path / "log.jsonl")
    assert first["event"] == "next"
    assert (second["event"], second["level"], second["message"]) == ("note", "warning", "told by logging itself")
    assert "RuntimeError: not even that" in capsys.readouterr().err


def test_an_error_that_nobody_hears_is_not_printed(capsys):
    tell("any", "loud", level=ERROR)
    assert capsys.readouterr() == ("", "")


def test_a_stage_tells_its_seconds_and_how_far_it_came(tmp_path):
    progress = Progress()
    with log_to(tmp_path / "log.jsonl"), progress.stage("embeddings") as advance:
        advance(3, 10)
        advance(7, 10)
    [line] = lines(tmp_path / "log.jsonl")
    assert (line["stage"], line["done"], line["unit"]) == ("embeddings", 7, "cells")
    assert line["seconds"] == pytest.approx(progress.seconds["embeddings"], abs=1e-3)
