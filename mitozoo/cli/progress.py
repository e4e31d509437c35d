"""Progress bars and notes on stderr, for people."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from mitozoo.engine.progress import Progress as EngineProgress
from mitozoo.errors import printable
from mitozoo.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Task

    from mitozoo.engine.progress import Advance, Listener


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f} {task.fields['unit']}/s" if speed else "", style="dim")


class Bars(EngineProgress):
    """Draws a bar for each stage with its rate and the time that is left; plain where stderr is no terminal."""

    def __init__(self, *listeners: Listener) -> None:
        super().__init__(*listeners)
        self.console = Console(stderr=True, highlight=False)

    @contextlib.contextmanager
    def bar(self, name: str, unit: str) -> Iterator[Advance]:
        """Draw one bar, gone once its stage has ended."""
        columns = (
            TextColumn("{task.description:>22}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(name, total=None, unit=unit)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    def note(self, text: str) -> None:
        """Print a line."""
        super().note(text)
        self.console.print(printable(redact(text)), markup=False, soft_wrap=True)
