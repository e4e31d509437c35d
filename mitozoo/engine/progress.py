"""How the engine tells what it is doing, without knowing who listens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

Advance = Callable[[int, int], None]  # (done, total)


class Progress:
    """Listens to nothing; the command line's child of it draws bars. It also clocks each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str, unit: str = "cells") -> Iterator[Advance]:
        """Clock a stage and show its progress."""
        start = time.perf_counter()
        try:
            with self.bar(name, unit) as advance:
                yield advance
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    @contextlib.contextmanager
    def bar(self, name: str, unit: str) -> Iterator[Advance]:  # noqa: ARG002 - for those who show it
        """Show a stage; the default shows nothing."""
        yield lambda done, total: None

    def note(self, text: str) -> None:
        """Say something a person should know."""
