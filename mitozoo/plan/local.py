"""The local executor: worker processes that stay alive between tasks, one a device.

Of the kept libraries, `concurrent.futures` and `loky` give up all work when one worker dies, and none lets the caller
choose the worker, which keeps a model loaded; so processes, pipes and `selectors` are used as they are. What is ready,
and what comes next, is the plan's affair (`graph.py`, `drive.py`), for this executor as for Ray's.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mitozoo.plan.process import TOO_LARGE, TOO_LATE
from mitozoo.plan.task import Failure, Outcome
from mitozoo.plan.worker import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mitozoo.plan.grid import Execution
    from mitozoo.plan.task import Task

GRACE_S = 10.0  # that a worker which was told to end has for it
LATE_S = 60.0  # after its limit, a worker that did not end itself is killed; torch may still have been imported
STARTS = 3  # of a worker, that may fail one after the other
LAST_LINES = 40  # of a log that say why a worker died
NEARLY_FULL = 0.8  # of the memory that it may take: a worker that has so much starts anew


@dataclass
class _Worker:
    """One process, and the task that it is at."""

    number: int
    log: Path
    process: subprocess.Popen[bytes]
    failed_starts: int = 0
    task: Task | None = None
    since: float = 0.0
    ever_ready: bool = False
    log_from: int = 0
    unread: bytes = field(default=b"")


class LocalExecutor:
    """Processes on this machine.

    Attributes:
        slots: how many workers there are.
        free: those that wait for a task.
    """

    name = "local"

    def __init__(self, slots: int, execution: Execution, logs: Path, devices: list[str] | None = None) -> None:
        """Take how many workers, what they may take, the folder of their logs, and the CUDA devices to share."""
        self.slots, self.execution, self.logs, self.devices = slots, execution, logs, devices
        self.free: set[int] = set()
        self._workers: dict[int, _Worker] = {}
        self._selector = selectors.DefaultSelector()

    def start(self) -> None:
        """Start all workers; they are free once they say so."""
        for number in range(self.slots):
            self._start(number)

    def submit(self, number: int, task: Task) -> None:
        """Give a free worker a task."""
        worker = self._workers[number]
        self.free.discard(number)
        worker.task, worker.since, worker.log_from = task, time.monotonic(), _size(worker.log)
        self._send(worker, task.to_json() | {"limit_s": self.execution.limit_s})

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what has ended, after waiting at most so long for anything to happen."""
        outcomes: list[Outcome] = []
        for key, _ in self._selector.select(self._until_next_limit(seconds)):
            worker = key.data
            outcomes.extend(self._heard(worker))
        for worker in list(self._workers.values()):
            late = worker.task is not None and time.monotonic() > worker.since + self.execution.limit_s + LATE_S
            if not late and worker.process.poll() is None:
                continue
            outcomes.extend(self._heard(worker))  # its last words first
            if self._workers.get(worker.number) is worker:
                outcomes.extend(self._ended(worker, late=late))
        return outcomes

    def close(self) -> None:
        """End all workers: those that wait at once, those at work after they were interrupted."""
        for worker in self._workers.values():
            if worker.task is not None:
                _signal(worker, signal.SIGINT)  # so that it removes what it was writing
            with contextlib.suppress(OSError):
                _pipe(worker.process.stdin).close()
        deadline = time.monotonic() + GRACE_S
        for worker in self._workers.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            _signal(worker, signal.SIGKILL)  # and all that it started
            worker.process.wait()
            _pipe(worker.process.stdout).close()
        self._workers.clear()
        self._selector.close()

    def _start(self, number: int, failed_starts: int = 0) -> None:
        log = self.logs / f"worker-{number}.log"
        with log.open("ab") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "mitozoo.plan.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=stderr, env=os.environ | self._environment(number), start_new_session=True,
            )  # fmt: skip
        worker = self._workers[number] = _Worker(number, log, process, failed_starts, log_from=_size(log))
        os.set_blocking(_pipe(process.stdout).fileno(), False)
        self._selector.register(_pipe(process.stdout), selectors.EVENT_READ, worker)
        gigabytes = self.execution.memory_gb
        memory = None if gigabytes is None else round(gigabytes * 1e9)
        self._send(worker, {"driver": os.getpid(), "memory": memory, "log": str(log.with_suffix(".jsonl"))})

    def _environment(self, number: int) -> dict[str, str]:
        chosen = thread_variables(self.execution.threads) | {"PYTHONFAULTHANDLER": "1"}
        if self.devices:
            chosen["CUDA_VISIBLE_DEVICES"] = self.devices[number % len(self.devices)]
        return chosen

    def _send(self, worker: _Worker, line: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has died, which `wait` finds
            pipe = _pipe(worker.process.stdin)
            pipe.write((json.dumps(line) + "\n").encode())
            pipe.flush()

    def _heard(self, worker: _Worker) -> Iterator[Outcome]:
        """Read what a worker says; yield how its task went."""
        pipe = _pipe(worker.process.stdout)
        while chunk := pipe.read(1 << 16):
            worker.unread += chunk
        if chunk == b"" and worker.process.poll() is None:  # it closed its end: it is dying, or was made to
            self._selector.unregister(pipe)
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(GRACE_S)
            _signal(worker, signal.SIGKILL)
        *lines, worker.unread = worker.unread.split(b"\n")
        for line in lines:
            text = line.decode("utf-8", errors="replace")
            if not text.startswith(MARK):
                continue
            told = json.loads(text.removeprefix(MARK))
            memory = told.get("memory", 0)
            if "key" in told and worker.task is not None:
                yield outcome_of(worker.number, told)
            worker.task = None
            worker.ever_ready = True
            gigabytes = self.execution.memory_gb
            if gigabytes is not None and memory > NEARLY_FULL * gigabytes * 1e9:
                yield from self._ended(worker)
            else:
                self.free.add(worker.number)

    def _ended(self, worker: _Worker, *, late: bool = False) -> Iterator[Outcome]:
        """Bury a worker and start another in its place; yield its task as lost."""
        _signal(worker, signal.SIGKILL)  # all that it started, too
        code = worker.process.wait()
        with contextlib.suppress(KeyError):
            self._selector.unregister(_pipe(worker.process.stdout))
        for pipe in (worker.process.stdin, worker.process.stdout):
            with contextlib.suppress(OSError):
                _pipe(pipe).close()
        self.free.discard(worker.number)
        del self._workers[worker.number]
        if worker.task is not None:
            seconds = time.monotonic() - worker.since
            late = late or (code == TOO_LATE and seconds >= self.execution.limit_s)
            failure = _why(code, late, self.execution, _last_lines(worker))
            yield Outcome(worker.number, worker.task.key, failure=failure, seconds=seconds)
        failed = 0 if worker.ever_ready else worker.failed_starts + 1
        if failed >= STARTS and not any(other.ever_ready for other in self._workers.values()):
            raise WorkerCannotStartError(_last_lines(worker))  # where another works, memory may just be short
        self._start(worker.number, failed)

    def _until_next_limit(self, seconds: float) -> float:
        ends = [worker.since + self.execution.limit_s + LATE_S for worker in self._workers.values() if worker.task]
        return max(0.0, min([seconds, *(end - time.monotonic() for end in ends)]))


class WorkerCannotStartError(Exception):
    """A worker died before it could take any task; the message is the end of its log."""


def outcome_of(number: int, told: dict[str, Any]) -> Outcome:
    """Return what a worker told of a task."""
    failure = Failure(**told["failure"]) if "failure" in told else None
    return Outcome(
        number, told["key"], told.get("value"), failure, busy=told.get("busy", False), seconds=told["seconds"]
    )


def thread_variables(threads: int) -> dict[str, str]:
    """Return the environment in which every library that mitozoo computes with uses so many threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    return dict.fromkeys(names, str(threads))


def _why(code: int, late: bool, execution: Execution, detail: str) -> Failure:
    if late:
        return Failure(
            "limit", f"it took longer than the {execution.task_minutes:g} minutes that its plan allows a task",
            "Raise task_minutes in [execution], if it does not hang.", detail,
        )  # fmt: skip
    if code == TOO_LARGE:
        return Failure(
            "died", f"its worker took more than the {execution.memory_gb:g} GB of memory that its plan allows",
            "Raise memory_gb in [execution], or lower batch_size.", detail,
        )  # fmt: skip
    if code == -signal.SIGKILL:
        return Failure(
            "died", "its worker was killed, which is what a system does that runs out of memory",
            "Lower workers or batch_size, or state memory_gb, in [execution].", detail,
        )  # fmt: skip
    ended = f"by signal {-code}" if code < 0 else f"with code {code}"
    return Failure("died", f"its worker ended {ended} in the middle of it", None, detail)


def _last_lines(worker: _Worker) -> str:
    try:
        with worker.log.open("rb") as file:
            file.seek(worker.log_from)
            return "\n".join(file.read().decode("utf-8", errors="replace").splitlines()[-LAST_LINES:])
    except OSError:
        return ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _signal(worker: _Worker, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.process.pid, number)


def _pipe(pipe: Any) -> Any:
    assert pipe is not None
    return pipe
