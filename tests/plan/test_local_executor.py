"""A plan through worker processes of this machine: the same bytes as without a plan, each piece of work once."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tiny_plans import gone

if TYPE_CHECKING:
    from tiny_plans import TinyPlan


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


def test_dry_run_tells_what_is_there_and_writes_no_run(new_plan, undisturbed):
    whole, _ = undisturbed
    plan = new_plan(models=whole.models, further=whole.further)
    told = plan.run("--dry-run")
    found = told["estimate"]
    assert found["tasks"]["embed"] == {"all": 7, "cached": 0, "to do": 7}
    assert found["tasks"]["fit"]["to do"] == 12
    assert found["cells"] == 168
    assert found["disk_bytes"] >= 168 * (16 * 4 + 32)
    assert found["gpu_hours"] == 0
    assert [text.partition(":")[0] for text in found["unknown"]] == ["embed", "fit"]
    assert not plan.results()
    assert not plan.shards()
    shutil.copytree(whole.runs, plan.runs, dirs_exist_ok=True)
    shutil.copytree(whole.folder / "home", plan.folder / "home", dirs_exist_ok=True)
    # a damaged shard is seen, and nothing else is to do but what needs it
    [first, *_] = sorted((plan.folder / "home" / "embeddings").rglob("*.safetensors"))
    first.unlink()
    [result] = plan.runs.glob("*-knn-*/result.json")
    result.unlink()
    told = plan.run("--dry-run")["estimate"]
    assert told["tasks"]["embed"] == {"all": 7, "cached": 6, "to do": 1}
    assert told["tasks"]["fit"]["all"] == 0
    assert told["unknown"] == []  # the run has measured its rates
    assert told["hours"] > 0
    never, finished = status(plan), status(whole)
    assert never.returncode == 2
    assert "no plan was ever run" in never.stderr  # of dry runs nothing is told
    assert finished.stdout.startswith("finished since")
    assert "result   2    0       2" in finished.stdout


def status(plan: TinyPlan, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mitozoo", "plan", "status", str(plan.file), "--out", str(plan.runs), *arguments]
    return subprocess.run(command, env=plan.environment, capture_output=True, text=True, check=False)


def test_status_from_another_process_and_ctrl_c(new_plan):
    plan = new_plan(models=("steady",), protocols=("knn",))
    running = plan.start(TINY_SLEEP="60")
    while not any(line["kind"] == "embed" for line in plan.events("task")):
        assert running.poll() is None
    seen = json.loads(status(plan, "--json").stdout)
    assert seen["state"] == "running"
    assert seen["counts"]["embed"]["all"] == 7
    assert "of tiny by steady" in seen["running"][0]["about"]
    running.send_signal(signal.SIGINT)  # as Ctrl-C does
    stdout, stderr = running.communicate(timeout=120)
    assert (running.returncode, stdout, stderr.split()) == (130, "", ["Interrupted."])
    assert gone(plan.workers)
    seen = status(plan).stdout
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
