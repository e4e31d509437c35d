"""The bar of a fetch, and a line for each file where nobody looks at a terminal."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from mitozoo.download.fetch import Listener
from mitozoo.engine.log import tell, tell_failure
from mitozoo.redaction import redact

if TYPE_CHECKING:
    from pathlib import Path

    from rich.status import Status

    from mitozoo.download.plan import Plan
    from mitozoo.errors import MitozooError
    from mitozoo.plugins.remote_files import RemoteFile


class FetchBars(Listener, contextlib.AbstractContextManager["FetchBars"]):
    """Draws how many bytes and how many files came.

    Attributes:
        started: whether anything was begun.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.started = False
        self._guard = threading.Lock()
        self._asking: Status | None = None
        self._bytes = Progress(
            TextColumn("{task.description:>9}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[files]}"),
            console=self.console, transient=True, disable=not self.console.is_terminal,
        )  # fmt: skip

    def asked(self, done: int, total: int) -> None:
        """Tell how many servers have answered."""
        if not self.console.is_terminal:
            return
        if self._asking is None:
            self._asking = self.console.status("")
            self._asking.start()
        self._asking.update(f"asking how large the files are: {done:,} of {total:,}")

    def stop_asking(self) -> None:
        """Make room for the question."""
        if self._asking is not None:
            self._asking.stop()

    def start(self, plan: Plan) -> None:
        """Draw the bar: bytes that an earlier fetch brought count as come."""
        self.started = True
        self._of, self._done = len(plan.missing), 0
        total = None if plan.untold else sum(step.size or 0 for step in plan.missing)
        came = sum(step.have for step in plan.missing)
        self._task = self._bytes.add_task("fetch", total=total, completed=came, files=f"0/{self._of} files")
        self._bytes.start()

    def __exit__(self, *_: object) -> None:
        self.stop_asking()
        self._bytes.stop()

    def note(self, text: str) -> None:
        """Print a line."""
        tell("note", text)
        self.console.print(redact(text), markup=False, soft_wrap=True)

    def waiting(self, folder: Path) -> None:
        """Say why nothing moves."""
        self.note(f"Another process fetches into {folder}; waiting for it.")

    def came(self, count: int) -> None:
        """Move the bar."""
        self._bytes.advance(self._task, count)

    def done(self, file: RemoteFile) -> None:
        """Count a file."""
        tell("file", f"{file.path} fetched", file=file.path)
        with self._guard:
            self._done += 1
            self._bytes.update(self._task, files=f"{self._done}/{self._of} files")
            if not self.console.is_terminal:
                self.console.print(f"{self._done}/{self._of}  {file.path}", markup=False, soft_wrap=True)

    def failed(self, file: RemoteFile, error: MitozooError) -> None:
        """Tell of a file that did not come."""
        tell_failure(error, file=file.path)
        with self._guard:
            self.console.print(redact(f"FAILED  {file.path}: {error.message}"), markup=False, soft_wrap=True)
