"""Drive a plan: give ready tasks to free workers, note how they went, go on until nothing is left."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from logging import ERROR, INFO
from typing import TYPE_CHECKING, Any, Protocol

from mitozoo.engine.log import tell, within
from mitozoo.plan.graph import Graph
from mitozoo.plan.growth import Growth
from mitozoo.plan.task import Asked, Failure, Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mitozoo.plan.grid import Execution
    from mitozoo.plan.journal import Journal

BUSY_S = 0.5  # before a task that another process is at is tried again
HOPELESS = 2  # failed tasks of one model on one dataset, or of one run, after which its others are not begun
LOOK_S = 1.0  # at the longest, between two looks at the clock and two counts in the journal


class Executor(Protocol):
    """Whoever does tasks, in a fixed number of slots.

    Attributes:
        name: for people.
        slots: how many workers there are at most.
        free: numbers of the workers that wait for a task.
    """

    name: str
    slots: int
    free: set[int]

    def start(self) -> None:
        """Start all workers."""

    def submit(self, number: int, task: Task) -> None:
        """Give a free worker a task."""

    def wait(self, seconds: float) -> Sequence[Outcome]:
        """Return what has ended, after waiting at most so long; a worker that died is replaced, its task failed."""

    def close(self) -> None:
        """End all workers."""


@dataclass
class Drive:
    """One call of `mitozoo plan run` at work.

    Attributes:
        runs: that are wanted.
        execution: how.
        executor: who does it.
        journal: told of everything.
        on_change: called after each task that ended.
        failures: key -> why a task failed.
    """

    runs: Sequence[Asked]
    execution: Execution
    executor: Executor
    journal: Journal
    on_change: Callable[[Drive], None] = lambda drive: None
    graph: Graph = field(default_factory=Graph)
    failures: dict[str, Failure] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    results: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.growth = Growth(self.graph, self.execution)
        self._asked: dict[str, Asked] = {}
        self._begun: Counter[str] = Counter()
        self._failed: Counter[tuple[str, tuple[str, str]]] = Counter()
        self._later: deque[tuple[float, str]] = deque()
        self._counted, self._told = 0.0, dict[str, dict[str, int]]()

    def run(self, *, survey_only: bool = False) -> None:
        """Do all tasks, or only find out which there are."""
        self.results = [self.growth.ask(asked) for asked in self.runs]
        last: dict[int, tuple[str, str]] = {}
        self._count()
        self.executor.start()
        while self._goes_on(survey_only=survey_only):
            while self._later and self._later[0][0] <= time.monotonic():
                self.graph.put_back(self._later.popleft()[1])
            for number in sorted(self.executor.free):
                task = self.graph.take(last.get(number, ("", "")), only="survey" if survey_only else None)
                if task is None:
                    break
                last[number] = task.group
                self._begin(number, task)
            self.journal.flush()
            for outcome in self.executor.wait(BUSY_S if self._later else LOOK_S):
                self._end(outcome)
            if time.monotonic() - self._counted > LOOK_S:
                self._count()
        self._count()

    @property
    def unfinished(self) -> list[str]:
        """The results that are wanted and not there."""
        return [key for key in self.results if self.graph.settled.get(key) not in ("done", "cached")]

    def _goes_on(self, *, survey_only: bool) -> bool:
        if not survey_only:
            return self.graph.left > 0
        surveys = self.graph.counts["survey"]
        return surveys["all"] > surveys["done"] + surveys["failed"]

    def _begin(self, number: int, task: Task) -> None:
        self._begun[task.key] += 1
        self.journal.write("task", key=task.key, kind=task.kind, about=task.about, worker=number)
        if task.kind == "result":
            spent: dict[str, float] = {}
            for need in self.growth.needs.get(task.key, ()):
                kind = self.graph.tasks[need].kind
                spent[kind] = spent.get(kind, 0.0) + self.seconds.get(need, 0.0)
            task = dataclasses.replace(task, payload=task.payload | {"seconds": spent})
        self.executor.submit(number, task)

    def _end(self, outcome: Outcome) -> None:
        task = self.graph.tasks[outcome.key]
        told: dict[str, Any] = {"key": task.key, "kind": task.kind, "worker": outcome.worker}
        told["seconds"] = round(outcome.seconds, 4)
        if outcome.busy:
            self._begun[task.key] -= 1
            self._later.append((time.monotonic() + BUSY_S, task.key))
            self.journal.write("busy", **told)
            return
        if (why := outcome.failure) is not None:
            told |= {"about": task.about} | dataclasses.asdict(why) | {"why": why.kind, "kind": task.kind}
            if why.kind == "died" and self._begun[task.key] < self.execution.attempts:
                self.graph.put_back(task.key)
                self.journal.write("lost", **told)
                return
            self.failures[task.key] = why
            self.graph.fail(task.key)
            self.journal.write("failed", **told)
            self._tell(task, "failed", outcome, f"{task.about} failed: {why.message}")
            self._failed[task.kind, task.group] += 1
            if task.kind != "survey" and self._failed[task.kind, task.group] >= HOPELESS:
                self.journal.write("given up", kind=task.kind, tasks=self.graph.drop(task.kind, task.group))
        else:
            computed = (outcome.value or {}).get("computed")
            if computed != 0:  # else another process did it meanwhile, and this took no time worth remembering
                self.seconds[task.key] = outcome.seconds
            if task.kind == "survey":
                self.growth.grow(Asked.of(task.payload["asked"]), outcome.value or {})
            self.graph.done(task.key, "cached" if computed == 0 else "done")
            self.journal.write("done", cells=task.cells, computed=computed, **told)
            self._tell(task, "done", outcome, f"{task.about} done")
            if task.kind == "survey":
                self._count()
        self.on_change(self)

    def _tell(self, task: Task, status: str, outcome: Outcome, message: str) -> None:
        with within(task=task.key):
            tell(
                "task", message, level=ERROR if status == "failed" else INFO, status=status, kind=task.kind,
                seconds=round(outcome.seconds, 4),
            )  # fmt: skip

    def _count(self) -> None:
        self._counted = time.monotonic()
        counts = {kind: dict(found) for kind, found in self.graph.counts.items()}
        if counts != self._told:
            self.journal.write("count", counts=counts)
            self._told = counts
