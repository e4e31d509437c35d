"""Faults that are really caused: the plan's other tasks go on, and the same command does what is left."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from tiny_plans import gone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: processes are found in /proc"),
]
FEW = '[[grid]]\nmodels = ["steady"]\ndatasets = ["tiny-few"]'


def test_faulty_plugins_hurt_nobody_else_and_the_rest_is_done_again(new_plan, undisturbed):
    whole, _ = undisturbed
    ill = ("hangs", "leaves", "leaks", "killed", "broken")
    plan = new_plan(
        "faulty", models=(*ill, "steady", "speaks", "forks"), protocols=("knn",),
        further=f"{whole.further}\n{FEW}",
        execution="workers = 2\nmemory_gb = 1.5\ntask_minutes = 0.3\nshards_a_task = 8",
    )  # fmt: skip
    log, counts = plan.folder / "log.jsonl", plan.folder / "plan.prom"
    told = plan.run("--log", str(log), "--prometheus", str(counts), code=3, TINY_CHILD="stays")
    entries = [entry for entry in map(json.loads, log.read_text().splitlines()) if entry["event"] == "task"]
    failed = [entry for entry in entries if entry["status"] == "failed"]
    assert {entry["level"] for entry in failed} == {"error"}
    assert len(failed) == len(told["failures"]) == len({entry["task"] for entry in failed})
    assert len(entries) - len(failed) == sum(of_kind.get("done", 0) for of_kind in told["tasks"].values())
    assert f'mitozoo_tasks_total{{status="failed",writer="plan"}} {len(failed)}.0' in counts.read_text()
    assert gone(plan.workers), "what a plugin forked outlives its worker"
    assert told["results"] == {"all": 9, "cached": 0, "done": 3, "unfinished": 6}
    why = {failure["about"].rpartition(" ")[2]: failure for failure in told["failures"]}
    assert "5 grouped folds need 5 groups" in why.pop("linear-probe")["message"]  # of the dataset with three slides
    assert {name: failure["kind"] for name, failure in why.items()} == {
        "hangs": "limit", "leaves": "died", "leaks": "died", "killed": "died", "broken": "error",
    }  # fmt: skip
    assert "in hang" in why["hangs"]["detail"]
    assert "longer than the 0.3 minutes" in why["hangs"]["message"]
    assert "1.5 GB" in why["leaks"]["message"]
    assert "was killed" in why["killed"]["message"]
    assert "this plugin is broken" in why["broken"]["message"]
    lost = [line["about"].rpartition(" ")[2] for line in plan.events("lost")]
    assert sorted(lost) == ["killed", "leaks", "leaves"]  # each was tried twice; the hanging one was not
    steady = next(name for name in whole.results() if "knn" in name)
    assert plan.results()[steady] == whole.results()[steady]
    told = plan.run(TINY_WELL="1", code=3)
    assert told["results"] == {"all": 9, "cached": 3, "done": 5, "unfinished": 1}


def test_trainings_share_their_patches_but_no_fault(new_plan):
    """Four runs see the same patches: of a network that does not load, and of one that LoRA cannot adapt."""
    plan = new_plan(
        "patches", models=("broken", "steady"), protocols=("lora", "end-to-end-short"), further="folds = 1",
        execution="workers = 1",
    )  # fmt: skip
    told = plan.run(code=3)
    assert told["tasks"]["patches"] == {"all": 1, "done": 1}
    assert told["results"] == {"all": 4, "cached": 0, "done": 1, "unfinished": 3}
    [run] = plan.results()
    assert run.startswith("steady-tiny-end-to-end-short-")
    messages = sorted(failure["message"] for failure in told["failures"])
    assert len(messages) == 3
    assert messages[0].startswith("LoRA on a network without linear layers to adapt: model 'steady'")
    assert all("this plugin is broken" in message for message in messages[1:])


CGROUP = os.environ.get("MITOZOO_CGROUP", "")


@pytest.mark.skipif(not CGROUP, reason="NOT TESTED: MITOZOO_CGROUP names no memory cgroup that may be divided")
def test_a_system_that_runs_out_of_memory_ends_one_worker_and_nothing_else(new_plan):
    """Of 3 GB for the driver and its workers; who is ended is the kernel's choice, which may be an innocent one."""
    plan = new_plan(
        "no-memory", models=("leaks", "steady"), protocols=("knn",), execution="shards_a_task = 8\nattempts = 3"
    )
    group = Path(CGROUP, f"mitozoo-{os.getpid()}")
    group.mkdir()
    try:
        second = (group / "memory.max").exists()  # cgroups of version 2
        (group / ("memory.max" if second else "memory.limit_in_bytes")).write_text("3000000000")
        process = plan.start("--json")
        (group / "cgroup.procs").write_text(str(process.pid))  # before it starts any worker
        stdout, stderr = process.communicate(timeout=300)
        counts = (group / ("memory.events" if second else "memory.oom_control")).read_text().split()
        kills = int(counts[counts.index("oom_kill") + 1])
    finally:
        group.rmdir()
    assert process.returncode == 3, (stdout, stderr)
    told = json.loads(stdout)
    [failure] = told["failures"]
    assert failure["about"].endswith("leaks")
    assert kills == len(plan.events("lost")) + 1 >= 3
    assert "was killed, which is what a system does that runs out of memory" in failure["message"]
    assert told["results"] == {"all": 2, "cached": 0, "done": 1, "unfinished": 1}
    assert plan.run(TINY_WELL="1")["results"] == {"all": 2, "cached": 1, "done": 1, "unfinished": 0}


def test_two_plans_at_once_do_each_piece_once(new_plan, undisturbed):
    whole, _ = undisturbed
    plan = new_plan("twice", models=whole.models, further=whole.further)
    both = [plan.start("--json"), plan.start("--json")]
    for process in both:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    assert plan.results() == whole.results()
    assert plan.shards() == whole.shards()
    done = plan.events("done")
    computed = {kind: sum(line["computed"] for line in done if line["kind"] == kind) for kind in ("embed", "fit")}
    assert computed == {"embed": 168, "fit": 24}  # cells, and rows of both runs
