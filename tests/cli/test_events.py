"""`--log`, `--prometheus` and `--track`: what a command did can be read by programs, down to its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import click.testing
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mitozoo.cli import main
from mitozoo.cli.fetch_progress import FetchBars
from mitozoo.engine.log import log_to
from mitozoo.errors import DownloadError
from mitozoo.plugins.remote_files import RemoteFile

TOKEN = "hf_" + "a1B2" * 8


def mitozoo(*arguments) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, list(map(str, arguments)), prog_name="mitozoo")


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def counts(path) -> dict[str, float]:
    """Return the sum of each counter and gauge, over its labels."""
    families = text_string_to_metric_families(path.read_text())
    return {one.name: sum(sample.value for sample in one.samples) for one in families if one.samples}


def test_the_log_of_an_evaluation_tells_run_stages_rows_and_the_end(own_home, tmp_path):
    log, prom = tmp_path / "log.jsonl", tmp_path / "eval.prom"
    asked = ("eval", "-m", "steady", "-d", "tiny", "--folds", "2", "--controls", "labels", "--out", tmp_path / "runs")
    done = mitozoo(*asked, "--log", log, "--prometheus", prom)
    assert done.exit_code == 0, done.stderr
    told = lines(log)
    assert [told[0]["event"], told[-1]["event"]] == ["start", "end"]
    assert told[-1]["exit_code"] == 0
    [run] = [line for line in told if line["event"] == "run"]
    [folder] = (tmp_path / "runs").glob("*/")
    assert run["run"] == folder.name
    assert run["run_id"] == json.loads((folder / "result.json").read_text())["run_id"]
    assert run["parameters"]["protocol"] == "linear-probe@1"
    rows = [line for line in told if line["event"] == "row"]
    assert {line["row"] for line in rows} == {"fold0-seed0-fraction1", "fold1-seed0-fraction1"}
    assert {line["run"] for line in rows} == {folder.name}
    stages = {line["stage"]: line["seconds"] for line in told if line["event"] == "stage"}
    assert {"cells", "folds", "embeddings", "probe", "metrics and intervals"} == stages.keys()
    [call] = json.loads((folder / "compute.json").read_text())["calls"]
    assert {name: pytest.approx(value, abs=2e-3) for name, value in call["seconds"].items()} == {
        name: value for name, value in stages.items() if name in call["seconds"]
    }
    [embedded] = [line for line in told if line["event"] == "embedded"]
    assert embedded["cells"] == call["embedded_cells"] == 168
    found = counts(prom)
    assert found["mitozoo_cells_embedded"] == 168
    assert found["mitozoo_rows"] == 2
    assert found["mitozoo_stage_seconds"] == pytest.approx(sum(stages.values()), abs=1e-2)
    assert (found["mitozoo_failures"], found["mitozoo_runs"], found["mitozoo_exit_code"]) == (0, 1, 0)


def test_of_several_runs_one_that_fails_keeps_no_other_from_being_made(own_home, tmp_path):
    log, prom = tmp_path / "log.jsonl", tmp_path / "eval.prom"
    asked = ("-d", "tiny", "--folds", "1", "--controls", "labels", "--out", tmp_path / "runs", "--log", log)
    done = mitozoo("eval", "-m", "steady,nan,shifted", *asked, "--prometheus", prom)
    assert done.exit_code == 3
    made = {path.parent.name.partition("-")[0] for path in (tmp_path / "runs").glob("*/result.json")}
    assert made == {"steady", "shifted"}
    summary = done.stderr[done.stderr.index("1 of 3 runs failed:") :].splitlines()
    assert summary[1].startswith("  nan-tiny-linear-probe-")
    assert ": model 'nan' gives NaN or infinity for cell " in summary[1]
    [failure] = [line for line in lines(log) if line["level"] == "error"]
    assert failure["run"].startswith("nan-tiny-linear-probe-")
    assert (failure["stage"], failure["error"]) == ("embeddings", "ModelError")
    assert lines(log)[-1]["exit_code"] == 3
    found = counts(prom)
    assert (found["mitozoo_failures"], found["mitozoo_runs"], found["mitozoo_exit_code"]) == (1, 2, 3)
    alone = mitozoo("eval", "-m", "nan", *asked)
    assert alone.exit_code == 2
    assert alone.stderr.startswith("Error: model 'nan' gives NaN")


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (("eval", "-m", "stedy", "-d", "tiny"), 2, "UnknownNameError"),
        (("embed", "-m", "steady", "-d", "tiny", "-o", "vectors.txt"), 2, "DataError"),
        (("audit", "tiny", "--split", "odd"), 2, None),
        (("fetch", "nothing"), 2, "UnknownNameError"),
        (("verify", "no-such-run"), 2, "DataError"),
    ],
)
def test_every_command_that_works_ends_its_log_with_why_and_the_code(zoo, tmp_path, arguments, code, kind):
    log = tmp_path / "log.jsonl"
    done = mitozoo(*arguments, "--log", log)
    assert done.exit_code == code
    *_, failure, end = lines(log)
    assert (failure["level"], end["event"], end["exit_code"]) == ("error", "end", code)
    assert kind in (None, failure["error"])
    assert failure["message"] in " ".join(done.stderr.split("\n"))


def test_a_log_may_be_named_by_the_environment_and_must_be_writable(zoo, tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_LOG", str(tmp_path / "log.jsonl"))
    assert mitozoo("fetch", "nothing").exit_code == 2
    assert lines(tmp_path / "log.jsonl")[-1]["exit_code"] == 2
    (tmp_path / "file").touch()
    done = mitozoo("fetch", "nothing", "--log", tmp_path / "file" / "log.jsonl")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: cannot write the log ")
    done = mitozoo("fetch", "nothing", "--prometheus", tmp_path / "counts.txt")
    assert done.stderr.startswith("Error: --prometheus is ")


def test_no_secret_is_shown_or_logged(zoo, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    monkeypatch.setenv("MITOZOO_TRACEBACK", "1")
    log = tmp_path / "log.jsonl"
    for secret in (TOKEN, "wJalrXUtnFEMI/K7MDENG", "https://me:secretsecret@example.org"):
        done = mitozoo("verify", f"run-{secret}", "--log", log)
        assert done.exit_code == 2
        shown = done.stderr + done.stdout + log.read_text()
        assert "run-" in shown
        assert "a1B2" not in shown
        assert "wJalr" not in shown
        assert "secretsecret" not in shown


def test_no_secret_reaches_a_result(own_home, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "drawn")  # too short to be one: it is how the tiny dataset's negatives came about
    monkeypatch.setenv("OTHER_TOKEN", "https://example.org/data")  # as if the dataset's record bore it
    done = mitozoo(
        "eval", "-m", "steady", "-d", "tiny", "--folds", "1", "--controls", "labels", "--out", tmp_path, "--json"
    )
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["dataset"]["negatives_origin"] == "drawn"
    assert document["dataset"]["reference"] == "***"
    [result] = tmp_path.glob("*/result.json")
    assert result.read_text() == done.stdout
    assert mitozoo("verify", result.parent).exit_code == 0


def test_ctrl_c_is_in_the_log(zoo_site, isolated_home, tmp_path):
    log = tmp_path / "log.jsonl"
    path = os.pathsep.join([str(zoo_site), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = ["eval", "-m", "steady", "-d", "tiny", "--batch-size", "1", "--out", tmp_path / "runs", "--log", log]
    process = subprocess.Popen(
        [sys.executable, "-m", "mitozoo", *map(str, command)], stderr=subprocess.PIPE, cwd=tmp_path,
        env=os.environ | {
            "PYTHONPATH": path, "MITOZOO_PLUGINS": "tinyzoo", "TINY_SLEEP": "5", "MITOZOO_HOME": str(tmp_path / "home"),
        },
    )  # fmt: skip
    deadline = time.monotonic() + 100
    while not (log.exists() and any(line["event"] == "run" for line in lines(log))):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.endswith(b"\nInterrupted.\n")
    *_, failure, end = lines(log)
    assert (failure["error"], failure["message"], end["exit_code"]) == ("KeyboardInterrupt", "KeyboardInterrupt", 130)
    assert failure["run"].startswith("steady-tiny-")


def test_a_fetch_tells_each_file_and_no_secret(tmp_path, capsys):
    bars, signed = FetchBars(), "https://example.org/a.zip?X-Amz-Signature=secretsecret"
    with log_to(tmp_path / "log.jsonl"):
        bars.failed(
            RemoteFile(path="a.zip", url="https://example.org/a.zip", holds="images"),
            DownloadError(f"403 from {signed}"),
        )
        bars.note(f"from {signed}")
    failure, note = lines(tmp_path / "log.jsonl")
    assert (failure["event"], failure["file"], failure["error"]) == ("failure", "a.zip", "DownloadError")
    shown = capsys.readouterr().err
    assert shown.splitlines()[0] == f"FAILED  a.zip: {failure['message']}"
    assert "X-Amz-Signature=***" in shown
    assert "secretsecret" not in shown + json.dumps([failure, note])


def test_trackers_are_found_before_any_work(zoo, tmp_path):
    done = mitozoo("eval", "-m", "steady", "-d", "tiny", "--out", tmp_path / "runs", "--track", "nobody:here")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")
    assert "nobody" in done.stderr
    assert not (tmp_path / "runs").exists()
