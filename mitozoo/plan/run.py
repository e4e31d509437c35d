"""Run a plan's file on an executor, and say how it went."""

from __future__ import annotations

import dataclasses
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mitozoo.engine.find_dataset import require_known_names
from mitozoo.errors import MitozooError
from mitozoo.plan.drive import Drive, Executor
from mitozoo.plan.estimate import Estimate, estimate, remember_rates
from mitozoo.plan.journal import Journal
from mitozoo.plan.local import LocalExecutor, WorkerCannotStartError
from mitozoo.plan.task import Asked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mitozoo.plan.grid import PlanFile

MOST_ON_CPU = 8  # workers, where nobody said how many: each holds a model


@dataclass(frozen=True)
class Report:
    """How a call of a plan ended.

    Attributes:
        folder: of its journal and its workers' logs.
        results: how many runs were wanted, and of these how many were 'cached', 'done' and 'unfinished'.
        tasks: kind -> state -> how many.
        failures: of tasks, with 'about', 'message', 'hint' and 'detail'.
        estimate: of a dry run.
    """

    folder: Path
    results: dict[str, int]
    tasks: dict[str, dict[str, int]]
    failures: list[dict[str, Any]]
    estimate: Estimate | None = None

    @property
    def failed(self) -> bool:
        """Whether a run that was wanted is not there."""
        return self.results["unfinished"] > 0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "folder": str(self.folder), "results": self.results, "tasks": self.tasks, "failures": self.failures,
            "estimate": None if self.estimate is None else self.estimate.to_json(),
        }  # fmt: skip


def run_plan(
    plan: PlanFile,
    *,
    workers: int | None = None,
    ray: str | None = None,
    dry_run: bool = False,
    on_change: Callable[[Drive], None] = lambda drive: None,
) -> Report:
    """Do all that a plan needs and that is not there yet.

    Args:
        plan: as its file states it.
        workers: processes at once, in place of what the plan states.
        ray: 'local', 'auto', or the address of a Ray cluster; None: processes of this machine.
        dry_run: only survey the runs, and estimate.
        on_change: called after each task that ended.

    Raises:
        MitozooError: the plan names something that is not there, or nothing can be executed here.
    """
    for asked in plan.runs:
        require_known_names(asked.request)
    journal = Journal(plan.folder, dry_run=dry_run)
    try:
        executor, device = _executor(plan, workers, ray, journal.folder)
        execution = dataclasses.replace(plan.execution, device=device)
        runs = [Asked(dataclasses.replace(asked.request, device=device), asked.untrained) for asked in plan.runs]
        drive = Drive(runs, execution, executor, journal, on_change)
        journal.write(
            "begin", name=plan.name, runs=len(runs), executor=executor.name, workers=executor.slots, pid=os.getpid(),
            host=socket.gethostname(), execution=dataclasses.asdict(execution), dry_run=dry_run,
        )  # fmt: skip
        state = "interrupted"
        try:
            drive.run(survey_only=dry_run)
            state = "finished" if dry_run or not drive.unfinished else "partly failed"
        except WorkerCannotStartError as error:
            raise MitozooError(
                f"no worker can start: {(str(error).strip() or 'its log is empty').splitlines()[-1]}",
                hint=f"Its log is in {journal.folder}",
            ) from error
        finally:
            executor.close()
            journal.write("end", state=state)
        if not dry_run:
            remember_rates(drive)
        return _report(drive, journal, estimate(drive, plan.out) if dry_run else None)
    finally:
        journal.close()


def _report(drive: Drive, journal: Journal, estimated: Estimate | None) -> Report:
    settled = [drive.graph.settled.get(key, "unfinished") for key in drive.results]
    results = {state: settled.count(state) for state in ("cached", "done")}
    results |= {"all": len(settled), "unfinished": len(drive.unfinished)}
    failures = [
        {"about": drive.graph.tasks[key].about, "kind": drive.graph.tasks[key].kind} | dataclasses.asdict(why)
        for key, why in drive.failures.items()
    ]
    tasks = {kind: dict(counts) for kind, counts in drive.graph.counts.items()}
    return Report(journal.folder, results, tasks, failures, estimated)


def _executor(plan: PlanFile, workers: int | None, ray: str | None, logs: Path) -> tuple[Executor, str]:
    """Return who does the tasks, and the device that all of them run on."""
    wanted = workers or plan.execution.workers
    if ray is not None:
        from mitozoo.plan.on_ray import RayExecutor

        executor = RayExecutor(ray, wanted, plan.execution, logs)
        return executor, executor.device
    from mitozoo.models.devices import pick_device

    device = pick_device(plan.execution.device)
    devices = _cuda_devices() if device == "cuda" else []
    on_cpu = min(MOST_ON_CPU, max(1, (os.cpu_count() or 1) // plan.execution.threads))
    slots = wanted or len(devices) or (on_cpu if device == "cpu" else 1)
    return LocalExecutor(slots, plan.execution, logs, devices), device


def _cuda_devices() -> list[str]:
    """Return what names each CUDA device that this process may use."""
    import torch

    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return visible or [str(number) for number in range(torch.cuda.device_count())]
