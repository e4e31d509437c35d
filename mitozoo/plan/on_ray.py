"""The Ray executor: each worker is an actor that keeps its model loaded; arrays travel through the shared cache alone.

Ray places the actors by the CPUs, GPUs and memory that they declare, notices when one dies, with its node or alone, and
finds a place for the next one. A Ray that is started here listens on loopback alone, and asks for a token.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mitozoo.errors import MitozooError
from mitozoo.plan.local import LATE_S, STARTS, WorkerCannotStartError, outcome_of, thread_variables
from mitozoo.plan.task import Failure, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mitozoo.plan.grid import Execution
    from mitozoo.plan.task import Task

OBJECT_STORE_BYTES = 100_000_000  # of a Ray of our own: tasks and answers are short texts
START_S = 600.0  # within which a cluster must have room for one worker
HEAD_S, LOOK_S = 30.0, 1.0  # a head that is silent for so long is lost: at 60 s Ray's own library ends this process
#: Of a Ray of our own: what it starts listens on loopback only (Ray calls so what it does on a desktop system), it
#: asks everyone for a token that only this process and its children know, and it tells nobody that it runs.
OWN_RAY = {
    "RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}  # fmt: skip


class Hand:
    """What an actor is: a workbench in a process of Ray's."""

    def __init__(self, memory: int | None, logs: str) -> None:
        import torch  # noqa: F401 - before it is ready, so that no task's time is spent on it

        from mitozoo.plan import process
        from mitozoo.plan.work import Workbench

        process.be_first_to_go()
        process.watch_memory(memory)
        self.process, self.bench = os.getpid(), Workbench()
        process.log_events(f"{logs}/worker-{socket.gethostname()}-{self.process}.jsonl")

    def ready(self) -> int:
        """Return the process id, once there is one."""
        return self.process

    def do(self, line: str) -> str:
        """Do a task, and tell how it went; both are JSON."""
        from mitozoo.plan.worker import answer_to

        task = json.loads(line)
        told = answer_to(self.bench, task, task["limit_s"])
        if os.getpid() != self.process:  # a plugin forked, and its child came back here
            os._exit(0)
        return json.dumps(told)


@dataclass
class _Worker:
    """An actor, and what it is asked: to be ready, or a task."""

    actor: Any
    asked: Any
    since: float
    task: Task | None = None
    failed_starts: int = 0


class RayExecutor:
    """Actors on a Ray cluster.

    Attributes:
        slots: how many workers there are at most; fewer, while the cluster has no room for all.
        free: those that wait for a task.
        device: that all tasks run on.
    """

    name = "ray"

    def __init__(self, address: str, workers: int | None, execution: Execution, logs: Path) -> None:
        """Connect to a cluster, or start one of this machine alone where `address` is 'local'."""
        self.execution, self.logs, self.free = execution, logs, set[int]()
        self.own = address == "local"
        self.ray = _connect(address, workers, execution)
        self._head = address if "://" in address else self.ray.get_runtime_context().gcs_address
        self._looked = time.monotonic()
        room = self.ray.cluster_resources()
        self.device = execution.device
        if self.device == "auto":
            self.device = "cuda" if room.get("GPU") else "cpu"
        on_gpu = self.device.startswith("cuda")
        self.slots = workers or max(1, int(room.get("GPU", 0) if on_gpu else room.get("CPU", 1) // execution.threads))
        self._memory = None if execution.memory_gb is None else round(execution.memory_gb * 1e9)
        wanted = {name: value for name, value in os.environ.items() if name.startswith("MITOZOO_")}
        self._actor = self.ray.remote(Hand).options(
            num_cpus=execution.threads, num_gpus=1 if on_gpu else 0, memory=self._memory, max_restarts=0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": wanted | thread_variables(execution.threads)},
        )  # fmt: skip
        self._workers: dict[int, _Worker] = {}

    def start(self) -> None:
        """Start all workers; they are free once they are ready."""
        for number in range(self.slots):
            self._start(number)

    def submit(self, number: int, task: Task) -> None:
        """Give a free worker a task."""
        worker = self._workers[number]
        self.free.discard(number)
        worker.task, worker.since = task, time.monotonic()
        worker.asked = worker.actor.do.remote(json.dumps(task.to_json() | {"limit_s": self.execution.limit_s}))

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what has ended, after waiting at most so long for anything to happen."""
        asked = {worker.asked: number for number, worker in self._workers.items() if number not in self.free}
        if not asked:
            return []
        if time.monotonic() > self._looked + LOOK_S:
            self._require_head()
        try:  # the first that ends, and then whatever else has
            ended, others = self.ray.wait(list(asked), num_returns=1, timeout=seconds)
            if ended and others:
                ended += self.ray.wait(others, num_returns=len(others), timeout=0)[0]
            outcomes = [outcome for answer in ended for outcome in self._heard(asked[answer])]
        except ConnectionError as error:  # of a ray:// address, after half a minute of Ray's own
            raise self._head_lost(error) from error
        now = time.monotonic()
        for number, worker in list(self._workers.items()):
            if worker.task is not None and now > worker.since + self.execution.limit_s + LATE_S:
                outcomes += self._lost(number, "it did not end at its time limit")
        idle = not self.free and all(worker.task is None for worker in self._workers.values())
        if idle and min(now - worker.since for worker in self._workers.values()) > START_S:
            raise WorkerCannotStartError(
                f"the cluster has had no room for a worker with {self.execution.threads} CPUs for {START_S:g} s"
            )
        return outcomes

    def close(self) -> None:
        """End all workers, and a Ray of our own."""
        for worker in self._workers.values():
            if self.ray.is_initialized():  # else it would try for minutes to find a head that was lost
                with contextlib.suppress(Exception):  # gone already
                    self.ray.kill(worker.actor)
        self._workers.clear()
        self.ray.shutdown()

    def _require_head(self) -> None:
        """Wait for Ray's head: without it, to start an actor blocks, and then Ray's own library ends this process."""
        host, _, port = self._head.rpartition("/")[2].rpartition(":")
        self._looked = since = time.monotonic()
        while True:
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
                return
            except OSError as error:
                if time.monotonic() > since + HEAD_S:
                    raise self._head_lost(error) from error
                time.sleep(LOOK_S)

    def _head_lost(self, why: OSError) -> MitozooError:
        return MitozooError(
            f"Ray's head at '{self._head}' has not answered for {HEAD_S:g} s: {why.strerror or why}",
            hint=f"{'Now' if self.own else 'Start Ray anew; then'} the same command does what is left.",
        )

    def _start(self, number: int, failed_starts: int = 0) -> None:
        actor = self._actor.remote(self._memory, str(self.logs))
        self._workers[number] = _Worker(actor, actor.ready.remote(), time.monotonic(), failed_starts=failed_starts)

    def _heard(self, number: int) -> Sequence[Outcome]:
        worker = self._workers[number]
        try:
            answer = self.ray.get(worker.asked)
        except self.ray.exceptions.RayError as error:
            return self._lost(number, str(error))
        worker.failed_starts = 0
        self.free.add(number)
        if worker.task is None:
            return []
        worker.task = None
        return [outcome_of(number, json.loads(answer))]

    def _lost(self, number: int, why: str) -> list[Outcome]:
        """Begin anew with a worker that died; return its task as lost."""
        self._require_head()
        worker = self._workers.pop(number)
        self.free.discard(number)
        with contextlib.suppress(Exception):  # it is gone already
            self.ray.kill(worker.actor)
        failed = 0 if worker.task is not None else worker.failed_starts + 1
        if failed >= STARTS and not any(number in self.free or other.task for number, other in self._workers.items()):
            raise WorkerCannotStartError(why)  # where another works, nodes may just be lost again and again
        self._start(number, failed)
        if worker.task is None:
            return []
        seconds = time.monotonic() - worker.since
        if seconds >= self.execution.limit_s:
            message = f"it took longer than the {self.execution.task_minutes:g} minutes that its plan allows a task"
            failure = Failure("limit", message, "Raise task_minutes in [execution], if it does not hang.", why)
        else:
            said = next((line.strip() for line in why.splitlines() if line.strip()), "")
            failure = Failure("died", f"its worker was lost: {said}", None, why)
        return [Outcome(number, worker.task.key, failure=failure, seconds=seconds)]


def _connect(address: str, workers: int | None, execution: Execution) -> Any:
    """Return the module `ray`, connected."""
    if address == "local":
        os.environ.update({name: value for name, value in OWN_RAY.items() if name not in os.environ})
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    else:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise MitozooError("Ray is not installed here", hint="pip install 'mitozoo[ray]'") from error
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        processors = os.cpu_count() or 1
        how |= {
            "num_cpus": max(processors, (workers or 1) * execution.threads), "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES, "_node_ip_address": "127.0.0.1",
        }  # fmt: skip
    try:
        ray.init(address=address, **how)
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise MitozooError(
            f"there is no Ray at '{address}': {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            hint="Start one (ray start --head), say its address, or say --ray local.",
        ) from error
    return ray
