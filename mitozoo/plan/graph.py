"""Which tasks wait for which, which are ready, and which one suits a worker best."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING

from mitozoo.plan.task import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mitozoo.plan.task import Task

Group = tuple[str, str]
LOOKED_AT = 64  # groups that are looked at for one of the same dataset, so that choosing costs the same in any plan


class Graph:
    """Tasks by key; each is waiting, ready, taken, or settled: 'done', 'cached', 'failed' or 'not run'.

    Every operation costs the same however many tasks there are.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.settled: dict[str, str] = {}
        self.counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self._missing: dict[str, int] = {}  # how many tasks one still waits for
        self._waited_for: dict[str, list[str]] = {}  # task -> those that need it
        self._end_waited_for: dict[str, list[str]] = {}  # task -> those that wait for its end, however it ends
        self._ready: dict[str, OrderedDict[Group, deque[str]]] = {kind: OrderedDict() for kind in KINDS}
        self._gates: set[str] = set()
        self._left = 0

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def left(self) -> int:
        """How many tasks are not settled."""
        return self._left

    def add(self, task: Task, needs: Iterable[str] = (), *, cached: bool = False) -> None:
        """Add a task that needs others; one that is there already stays as it is."""
        if task.key in self.tasks:
            return
        self.tasks[task.key] = task
        self.counts[task.kind]["all"] += 1
        self._left += 1
        self._missing[task.key] = 0
        if cached:
            self._settle(task.key, "cached")
        else:
            self.extend(task.key, needs)

    def gather(self, key: str, needs: Iterable[str]) -> None:
        """Add a name for several tasks together: what needs it needs them all, at the cost of one."""
        if key not in self._missing and key not in self.settled:
            self._gates.add(key)
            self._missing[key] = 0
            self.extend(key, needs)

    def extend(self, key: str, needs: Iterable[str], *, ends: Iterable[str] = ()) -> None:
        """Have a task that was not taken yet need others too, and wait for the end of others, however they end."""
        waits, lost = 0, False
        for need in needs:
            state = self.settled.get(need)
            lost |= state in ("failed", "not run")
            if state is None:
                self._waited_for.setdefault(need, []).append(key)
                waits += 1
        for other in ends:
            if other not in self.settled:
                self._end_waited_for.setdefault(other, []).append(key)
                waits += 1
        self._missing[key] += waits
        if lost:
            self.fail(key, "not run")
        elif not self._missing[key]:
            self._make_ready(key)

    def take(self, last: Group, *, only: str | None = None) -> Task | None:
        """Return a ready task, of one kind alone, for a worker whose last was of group `last`; None: there is none."""
        for kind in reversed(KINDS) if only is None else (only,):
            groups = self._ready[kind]
            if not groups:
                continue
            group = last if last in groups else self._near(groups, last[0])
            keys = groups[group]
            key = keys.popleft()
            if not keys:
                del groups[group]
            elif group != last:
                groups.move_to_end(group)  # the next worker begins with another one
            return self.tasks[key]
        return None

    def put_back(self, key: str) -> None:
        """Have a task that was taken be ready again."""
        self._make_ready(key)

    def done(self, key: str, state: str = "done") -> None:
        """Note a task as done, or as 'cached', and have those that waited for nothing else be ready."""
        for waiting in self._settle(key, state):
            self._let_go(waiting)

    def fail(self, key: str, state: str = "failed") -> None:
        """Note a task as failed, and all that need it, however far, as not to be run."""
        doomed = self._settle(key, state)
        while doomed:
            waiting = doomed.pop()
            if waiting not in self.settled:
                doomed.extend(self._settle(waiting, "not run"))

    def drop(self, kind: str, group: Group) -> int:
        """Note the ready tasks of a kind and group, and all that need them, as not to be run; return how many."""
        keys = self._ready[kind].pop(group, deque())
        for key in keys:
            self.fail(key, "not run")
        return len(keys)

    def _settle(self, key: str, state: str) -> list[str]:
        """Note how a task ended, and return those that need it."""
        self.settled[key] = state
        if key not in self._gates:
            self.counts[self.tasks[key].kind][state] += 1
            self._left -= 1
        self._missing.pop(key, None)
        for waiting in self._end_waited_for.pop(key, ()):
            self._let_go(waiting)
        return self._waited_for.pop(key, [])

    def _let_go(self, key: str) -> None:
        """Have a task wait for one thing less."""
        if key not in self._missing:  # something that it needs has failed
            return
        self._missing[key] -= 1
        if not self._missing[key]:
            self._make_ready(key)

    def _make_ready(self, key: str) -> None:
        self._missing.pop(key, None)
        if key in self._gates:
            self.done(key)
            return
        task = self.tasks[key]
        self._ready[task.kind].setdefault(task.group, deque()).append(key)

    @staticmethod
    def _near(groups: OrderedDict[Group, deque[str]], dataset: str) -> Group:
        """Return a group of the same dataset, whose files lie in this machine's memory, else the first."""
        for place, group in enumerate(groups):
            if group[0] == dataset:
                return group
            if place >= LOOKED_AT:
                break
        return next(iter(groups))
