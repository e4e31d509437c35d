"""How the engine tells what it is doing, without knowing who listens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mitozoo.engine.log import is_heard, tell, within

if TYPE_CHECKING:
    from mitozoo.engine.run_facts import RunFacts
    from mitozoo.protocols.epoch import Epoch
    from mitozoo.results.result import Result

Advance = Callable[[int, int], None]  # (done, total)


class Listener:
    """Hears how runs go, one run at a time: `began`, its epochs, then `ended` or `failed`. This one does nothing."""

    def began(self, run: RunFacts) -> None:
        """Hear that a run is about to be computed, or was found complete."""

    def epoch(self, training: str, epoch: Epoch) -> None:
        """Hear how an epoch went; `training` is the row that it is for, such as 'fold0-seed0-fraction1'."""

    def ended(self, result: Result) -> None:
        """Hear that the run is complete."""

    def failed(self, error: BaseException) -> None:
        """Hear that the run was given up; an error, or `KeyboardInterrupt`."""


class Progress:
    """Clocks each stage, writes everything to the log, and passes it on; the command line's child of it draws bars."""

    def __init__(self, *listeners: Listener) -> None:
        self.seconds: dict[str, float] = {}
        self.listeners = listeners

    @contextlib.contextmanager
    def stage(self, name: str, unit: str = "cells") -> Iterator[Advance]:
        """Clock a stage and show its progress."""
        reached = 0

        def advance(done: int, total: int) -> None:
            nonlocal reached
            reached = done
            show(done, total)

        start = time.perf_counter()
        with within(stage=name):
            try:
                with self.bar(name, unit) as show:
                    yield advance
            finally:
                taken = time.perf_counter() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + taken
                tell("stage", f"{name}: {taken:.1f} s", seconds=round(taken, 3), done=reached, unit=unit)

    @contextlib.contextmanager
    def bar(self, name: str, unit: str) -> Iterator[Advance]:  # noqa: ARG002 - for those who show it
        """Show a stage; the default shows nothing."""
        yield lambda done, total: None

    def note(self, text: str) -> None:
        """Say something a person should know."""
        tell("note", text)

    @contextlib.contextmanager
    def run(self, facts: RunFacts) -> Iterator[Callable[[Result], None]]:
        """Follow one run; the body says when it has its result."""
        with within(run=facts.folder.name):
            if is_heard():
                tell("run", f"{facts.folder.name} begins", run_id=facts.run_id, parameters=facts.parameters)

            def ended(result: Result) -> None:
                tell("result", result.title(), folder=result.folder, auroc=result.mean())
                for listener in self.listeners:
                    listener.ended(result)

            try:
                for listener in self.listeners:
                    listener.began(facts)
                yield ended
            except BaseException as error:
                for listener in self.listeners:
                    listener.failed(error)
                raise

    def epoch(self, training: str, epoch: Epoch) -> None:
        """Say how an epoch of a training went."""
        tell("epoch", f"epoch {epoch.number} at {epoch.learning_rate:g}", **vars(epoch))
        for listener in self.listeners:
            listener.epoch(training, epoch)
