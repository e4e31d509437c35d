"""A plan through worker processes of this machine: the same bytes as without a plan, each piece of work once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from tiny_plans import gone


def test_a_plan_gives_the_bytes_of_single_evaluations_and_does_each_piece_once(new_plan, tmp_path):
    plan = new_plan()
    told = plan.run()
    assert told["results"] == {"all": 4, "cached": 0, "done": 4, "unfinished": 0}
    # two models of seven shards each, which two protocols share; eight fits a run, two a task
    assert {kind: counts.get("done", 0) for kind, counts in told["tasks"].items()} == {
        "survey": 4, "patches": 0, "embed": 14, "fit": 16, "result": 4,
    }  # fmt: skip
    assert len({line["key"] for line in plan.events("done")}) == len(plan.events("done")) == 38
    assert {line["worker"] for line in plan.events("task")} == {0, 1}

    assert plan.results() == plan.evaluate(tmp_path / "without")

    again = plan.run()
    assert again["results"] == {"all": 4, "cached": 4, "done": 0, "unfinished": 0}
    assert again["tasks"]["embed"] == {}


def test_dry_run_tells_what_is_there_and_writes_no_run(new_plan):
    plan = new_plan(models=("steady",), protocols=("knn",))
    told = plan.run("--dry-run")
    found = told["estimate"]
    assert found["tasks"]["embed"] == {"all": 7, "cached": 0, "to do": 7}
    assert found["tasks"]["fit"]["to do"] == 4
    assert found["cells"] == 168
    assert found["disk_bytes"] >= 168 * (16 * 4 + 32)
    assert found["gpu_hours"] == 0
    assert [text.partition(":")[0] for text in found["unknown"]] == ["embed", "fit"]
    assert not plan.results()
    assert not plan.shards()
    plan.run()
    # a damaged shard is seen, and nothing else is to do but what needs it
    [first, *_] = sorted((plan.folder / "home" / "embeddings").rglob("*.safetensors"))
    first.unlink()
    [result] = plan.runs.glob("*/result.json")
    result.unlink()
    told = plan.run("--dry-run")["estimate"]
    assert told["tasks"]["embed"] == {"all": 7, "cached": 6, "to do": 1}
    assert told["tasks"]["fit"]["all"] == 0
    assert told["unknown"] == []  # the run has measured its rates
    assert told["hours"] > 0
    ask = [sys.executable, "-m", "mitozoo", "plan", "status", str(plan.file), "--out", str(plan.runs)]
    seen = subprocess.run(ask, env=plan.environment, capture_output=True, text=True, check=True).stdout
    assert seen.startswith("finished since")  # dry runs are not told of
    assert "result   1    0       1" in seen


def test_status_from_another_process_and_ctrl_c(new_plan):
    plan = new_plan(models=("steady",), protocols=("knn",))
    ask = [sys.executable, "-m", "mitozoo", "plan", "status", str(plan.file), "--out", str(plan.runs)]
    never = subprocess.run(ask, env=plan.environment, capture_output=True, text=True, check=False)
    assert never.returncode == 2
    assert "no plan was ever run" in never.stderr
    running = plan.start(TINY_SLEEP="0.3")
    while not any(line["kind"] == "embed" for line in plan.events("task")):
        assert running.poll() is None
    seen = json.loads(subprocess.run([*ask, "--json"], env=plan.environment, capture_output=True, check=True).stdout)
    assert seen["state"] == "running"
    assert seen["counts"]["embed"]["all"] == 7
    assert "of tiny by steady" in seen["running"][0]["about"]
    running.send_signal(signal.SIGINT)  # as Ctrl-C does
    stdout, stderr = running.communicate(timeout=120)
    assert (running.returncode, stdout, stderr.split()) == (130, "", ["Interrupted."])
    assert gone(plan.workers)
    seen = subprocess.run(ask, env=plan.environment, capture_output=True, text=True, check=True).stdout
    assert seen.startswith("interrupted since")
    assert "result   1    0       0" in seen


def test_workers_that_cannot_start_end_the_plan_with_their_reason(new_plan):
    plan = new_plan("poisoned", models=("steady",))
    poison = plan.folder / "poison"
    poison.mkdir()
    (poison / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'mitozoo.plan.worker' in sys.orig_argv:\n"
        "    os.write(2, b'this machine is broken')\n"
        "    os._exit(3)\n"
    )
    process = plan.start(PYTHONPATH=f"{poison}:{plan.site}")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "no worker can start: this machine is broken" in stderr
