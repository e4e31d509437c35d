"""How a plan stands, read from its journal by whoever asks, also while it runs."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mitozoo.plan.journal import last_journal, read_journal
from mitozoo.plan.task import KINDS

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Status:
    """How a plan stands.

    Attributes:
        folder: of the call that is told about, with its journal and its workers' logs.
        state: 'running', 'finished', 'partly failed', 'interrupted', or 'died' where its process is gone.
        executor: with how many workers.
        began, last: seconds since the epoch: of its begin and of the last line.
        counts: kind of task -> state -> how many.
        running: tasks that workers are at, with 'about', 'worker' and 'seconds'.
        failures: with 'about', 'message' and 'hint'.
        lost: how often a worker died under a task.
    """

    folder: str
    state: str
    executor: str
    began: float
    last: float
    counts: dict[str, dict[str, int]]
    running: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    lost: int

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def status_of(folder: Path) -> Status:
    """Return how a plan stands, by the newest journal in its folder.

    Raises:
        MitozooError: it was never run.
    """
    path = last_journal(folder)
    lines = read_journal(path)
    begin = next((line for line in lines if line["event"] == "begin"), {})
    end = next((line for line in lines if line["event"] == "end"), None)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    running: dict[str, dict[str, Any]] = {}
    failures, lost = [], 0
    since: Counter[tuple[str, str]] = Counter()
    for line in lines:
        event = line["event"]
        if event == "count":
            counts = {kind: Counter(found) for kind, found in line["counts"].items()}
            since.clear()
        elif event == "task":
            running[line["key"]] = line
        elif event in ("done", "failed", "lost", "busy"):
            running.pop(line["key"], None)
            if event in ("done", "failed"):
                since[line["kind"], "cached" if line.get("computed") == 0 else event] += 1
        if event == "failed":
            failures.append({name: line.get(name) for name in ("about", "kind", "message", "hint", "detail")})
        lost += event == "lost"
    for (kind, state), number in since.items():  # after the last count
        counts[kind][state] += number
    last = lines[-1]["time"] if lines else 0.0
    state = end["state"] if end else "running" if _is_alive(begin) else "died"
    now = time.time() if state == "running" else last
    at = [
        {"about": line["about"], "kind": line["kind"], "worker": line["worker"], "seconds": now - line["time"]}
        for line in running.values()
    ]
    return Status(
        str(path.parent), state, f"{begin.get('executor', '?')}, {begin.get('workers', '?')} workers",
        begin.get("time", last), last, {kind: dict(found) for kind, found in counts.items()},
        at if state == "running" else [], failures, lost,
    )  # fmt: skip


def _is_alive(begin: dict[str, Any]) -> bool:
    """Tell whether the process that wrote a journal lives; of another machine's nobody here knows, so it may."""
    if begin.get("host") != socket.gethostname():
        return bool(begin)
    try:
        os.kill(int(begin["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
