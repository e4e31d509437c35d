"""What a plan will take: time, disk and GPU hours, from rates that were measured here, and silence where none was."""

from __future__ import annotations

import contextlib
import json
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mitozoo import storage
from mitozoo.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.plan.drive import Drive
    from mitozoo.plan.task import Task

RATES = "rates.json"  # of the cache: what was embedded or fitted, and where -> cells a second of one worker
RESULT_S = 3.0  # of a result's metrics and intervals where none was measured; it is said so


@dataclass(frozen=True)
class Estimate:
    """What is left to do.

    Attributes:
        tasks: kind -> 'all', 'cached' and 'to do'. Tasks of runs that could not be surveyed are not known.
        cells: to embed.
        disk_bytes: that will be written.
        seconds: of all workers together; None where nothing is known.
        hours: by the clock, with all workers at work.
        gpu_hours: None where that is not known; 0 without a GPU.
        unknown: what no rate is known of; its time is in no sum.
        assumed: what was assumed.
    """

    tasks: dict[str, dict[str, int]]
    cells: int
    disk_bytes: int
    seconds: float | None
    hours: float | None
    gpu_hours: float | None
    unknown: list[str]
    assumed: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def estimate(drive: Drive, out: Path) -> Estimate:
    """Estimate what a surveyed plan takes on this executor.

    Args:
        drive: that has surveyed all runs.
        out: the runs' folder, whose earlier runs tell how fast models embed.
    """
    graph, device = drive.graph, drive.execution.device
    rates, tasks = _read(), {}
    seconds, cells, disk, assumed = 0.0, 0, 0, []
    unknown: dict[str, None] = {}
    for kind, counts in graph.counts.items():
        settled = counts["cached"] + (counts["done"] + counts["failed"] if kind == "survey" else 0)
        tasks[kind] = {"all": counts["all"], "cached": counts["cached"], "to do": counts["all"] - settled}
    for task in graph.tasks.values():
        if task.key in graph.settled or task.kind == "survey":
            continue
        disk += drive.growth.bytes.get(task.key, 0)
        cells += task.cells if task.kind == "embed" else 0
        if task.kind == "result":
            seconds += rates.get("result", RESULT_S)
            continue
        rate = rates.get(rate_name(drive, task))
        if rate is None and task.kind == "embed":
            rate = _of_earlier_runs(out, _model(drive, task), device)
        if rate is None:
            unknown[f"{task.kind}: {_model(drive, task)}"] = None
        else:
            seconds += task.cells / rate
    if tasks["result"]["to do"] and "result" not in rates:
        assumed.append(f"{RESULT_S:g} s for the metrics and intervals of a run")
    known = seconds if len(unknown) == 0 or seconds else None
    hours = None if known is None else known / 3600 / drive.executor.slots
    on_gpu = device.startswith("cuda")
    return Estimate(
        tasks, cells, disk, known, hours, (None if known is None else known / 3600) if on_gpu else 0.0,
        list(unknown), assumed,
    )  # fmt: skip


def rate_name(drive: Drive, task: Task) -> str:
    """Return what a task's cells a second depend on, for `rates.json`."""
    told = _survey(drive, task)
    what = {"embed": told["fingerprint"], "patches": told["dataset"], "fit": f"{told['protocol']} {told['model']}"}
    return f"{task.kind} {what[task.kind]} on {told['device']}, {drive.execution.threads} threads"


def remember_rates(drive: Drive) -> None:
    """Keep how fast tasks went, the median of each sort, for later estimates."""
    found: dict[str, list[float]] = {}
    for key, seconds in drive.seconds.items():
        task = drive.graph.tasks[key]
        if task.kind == "result":
            found.setdefault("result", []).append(seconds)
        elif task.kind != "survey" and task.cells and seconds > 0:
            found.setdefault(rate_name(drive, task), []).append(task.cells / seconds)
    if not found:
        return
    rates = _read() | {name: round(statistics.median(values), 4) for name, values in found.items()}
    with contextlib.suppress(StorageError), storage.write_whole(storage.home() / RATES) as unfinished:  # only a memo
        unfinished.write_text(json.dumps(rates, indent=1, sort_keys=True), encoding="utf-8")


def _survey(drive: Drive, task: Task) -> dict[str, Any]:
    from mitozoo.plan.task import Asked

    return drive.growth.surveys[f"result-{Asked.of(task.payload['asked']).key}"]


def _model(drive: Drive, task: Task) -> str:
    return str(_survey(drive, task)["model"])


def _read() -> dict[str, float]:
    try:
        found = json.loads((storage.home() / RATES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): float(rate) for name, rate in found.items()} if isinstance(found, dict) else {}


def _of_earlier_runs(out: Path, model: str, device: str) -> float | None:
    """Return the patches a second that compute.json of a run of the model states, the median of all."""
    rates = []
    for path in out.glob(f"{model.replace(':', '-').replace('/', '-')}-*/compute.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            calls = json.loads(path.read_text(encoding="utf-8"))["calls"]
            rates += [
                call["patches_per_second"] for call in calls if call["patches_per_second"] and call["device"] == device
            ]
    return statistics.median(rates) if rates else None
