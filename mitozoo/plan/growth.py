"""From what surveys found to tasks: each piece of work once, however many runs need it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from mitozoo.plan.task import Asked, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mitozoo.plan.graph import Graph
    from mitozoo.plan.grid import Execution

SHARDS_A_TASK_ON_CPU, SHARDS_A_TASK = 1, 8  # a GPU embeds a shard in a second or two


class Growth:
    """Adds tasks to a graph.

    Attributes:
        graph: that grows.
        needs: result -> the tasks that it needs, for what the run cost.
        surveys: result -> what its run is called, for estimates.
        bytes: key of a task -> what it will write.
    """

    def __init__(self, graph: Graph, execution: Execution) -> None:
        self.graph, self.execution = graph, execution
        self.needs: dict[str, list[str]] = {}
        self.surveys: dict[str, dict[str, Any]] = {}
        self.bytes: dict[str, int] = {}
        self._maker: dict[tuple[str, str], str] = {}  # (store or run, shard or rows) -> the task that makes it

    def ask(self, asked: Asked) -> str:
        """Add a run: the task that surveys it, and its result, which waits for that; return the result's key."""
        survey, result = f"survey-{asked.key}", f"result-{asked.key}"
        payload, dataset = {"asked": asked.to_json()}, asked.request.dataset
        self.graph.add(Task(survey, "survey", asked.title, (dataset, ""), payload))
        self.graph.add(Task(result, "result", asked.title, (dataset, result), payload), [survey])
        return result

    def grow(self, asked: Asked, told: dict[str, Any]) -> None:
        """Add what a run needs, by its survey, whose task is not settled yet."""
        result = f"result-{asked.key}"
        self.surveys[result] = {name: told[name] for name in ("model", "fingerprint", "dataset", "protocol", "device")}
        if told["stored"]:
            self.graph.done(result, "cached")
            return
        group = (asked.request.dataset, told["fingerprint"])
        before = [*self._patches(asked, told), *self._embed(asked, told, group)]
        ready = f"all that {asked.key} is fitted on"
        self.graph.gather(ready, before)
        fits = self._fit(asked, told, ready)
        controls = [self.ask(Asked.of(control)) for control in told["controls"]]
        self.graph.extend(result, [ready, *fits], ends=controls)
        self.needs[result] = [*before, *fits]

    def _patches(self, asked: Asked, told: dict[str, Any]) -> Iterator[str]:
        if (patches := told["patches"]) is None:
            return
        key, payload = f"patches-{patches['name']}", {"asked": asked.to_json(), "name": patches["name"]}
        about = f"patches of {told['dataset']} for {told['model']}"
        group = (asked.request.dataset, f"result-{asked.key}")
        self.bytes[key] = patches["bytes"]
        self.graph.add(Task(key, "patches", about, group, payload, patches["absent"]), cached=not patches["absent"])
        yield key

    def _embed(self, asked: Asked, told: dict[str, Any], group: tuple[str, str]) -> Iterator[str]:
        """Yield the tasks that embed what is missing: of shards that follow each other some at once."""
        whole = asked.to_json()
        for part, needed in enumerate(told["embed"]):
            store, shards = needed["store"], needed["shards"]
            for numbers in self._neighbours(store, shards):
                names = [shards[number][0] for number in numbers]
                key = f"embed-{hashlib.sha256(' '.join([store, *names]).encode()).hexdigest()[:32]}"
                self._maker |= {(store, name): key for name in names}
                first, last = numbers[0], numbers[-1]
                payload = {"asked": whole, "part": part, "shards": [first, last]}
                cells = sum(shards[number][1] for number in numbers)
                about = f"shards {first + 1} to {last + 1} of {len(shards)} of {told['dataset']} by {told['model']}"
                cached = shards[first][2]
                self.bytes[key] = 0 if cached else cells * needed["row_bytes"]
                self.graph.add(Task(key, "embed", about, group, payload, cells), cached=cached)
            yield from dict.fromkeys(self._maker[store, shard[0]] for shard in shards)

    def _neighbours(self, store: str, shards: Sequence[Sequence[Any]]) -> Iterator[list[int]]:
        """Yield numbers of shards that no task makes yet, in stretches that are all cached or all missing."""
        on_cpu = self.execution.device == "cpu"
        most = self.execution.shards_a_task or (SHARDS_A_TASK_ON_CPU if on_cpu else SHARDS_A_TASK)
        stretch: list[int] = []
        for number, (name, _, cached) in enumerate(shards):
            made = (store, name) in self._maker
            if stretch and (made or len(stretch) >= most or cached != shards[stretch[-1]][2]):
                yield stretch
                stretch = []
            if not made:
                stretch.append(number)
        if stretch:
            yield stretch

    def _fit(self, asked: Asked, told: dict[str, Any], ready: str) -> list[str]:
        """Add the tasks that fit what is missing: heads some at once, a training alone."""
        run, made, whole = told["run"], [], asked.to_json()
        of_all = max(1, sum(map(len, told["fits"])))
        new = [fit for fit in told["fits"] if (run, str(fit)) not in self._maker]
        most = 1 if told["trains"] else self.execution.fits_a_task
        for start in range(0, len(new), most):
            fits = new[start : start + most]
            rows = [row for fit in fits for row in fit]
            key = f"fit-{hashlib.sha256(f'{run} {rows}'.encode()).hexdigest()[:32]}"
            self._maker |= {(run, str(fit)): key for fit in fits}
            payload = {"asked": whole, "rows": rows}
            about = f"{len(rows)} rows of {asked.title}"
            self.bytes[key] = told["bytes"] * len(rows) // of_all
            group = (asked.request.dataset, f"result-{asked.key}")
            self.graph.add(Task(key, "fit", about, group, payload, len(rows) * told["cells"]), [ready])
            made.append(key)
        return list(dict.fromkeys(self._maker[run, str(fit)] for fit in told["fits"])) if told["fits"] else made
