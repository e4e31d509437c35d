"""The journal of a plan: one JSON object a line, appended as things happen, for whoever looks from outside."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from mitozoo.errors import MitozooError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

JOURNAL, DRY_RUN = "journal.jsonl", "dry-run-"


class Journal:
    """Appends lines, those of one look at the workers together, so that a kill tears one at most."""

    def __init__(self, folder: Path, *, dry_run: bool = False) -> None:
        """Begin a journal in a folder of its own below the plan's; of a dry run in one that says so."""
        self._lines: list[bytes] = []
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        self.folder = folder / f"{DRY_RUN if dry_run else ''}{started}-{socket.gethostname()}-{os.getpid()}"
        try:
            self.folder.mkdir(parents=True)
            self._file = os.open(self.folder / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(
                f"cannot write the journal {self.folder}: {error.strerror or error}",
                hint="Point --out to a folder that you can write to.",
            ) from error

    def write(self, event: str, **fields: Any) -> None:
        """Note one line, for the next `flush`."""
        self._lines.append(orjson.dumps({"time": round(time.time(), 3), "event": event} | fields))

    def flush(self) -> None:
        """Append what was noted; a full disk ends the journal's use, not the plan."""
        if self._lines:
            with contextlib.suppress(OSError):
                os.write(self._file, b"\n".join((*self._lines, b"")))
            self._lines.clear()

    def close(self) -> None:
        """Append what was noted, and close the file."""
        self.flush()
        os.close(self._file)


def last_journal(folder: Path) -> Path:
    """Return the newest journal of a plan's folder, or the folder's own.

    Raises:
        MitozooError: there is none.
    """
    if (folder / JOURNAL).is_file():
        return folder / JOURNAL
    found = sorted(path for path in folder.glob(f"*/{JOURNAL}") if not path.parent.name.startswith(DRY_RUN))
    if not found:
        raise MitozooError(f"no plan was ever run in {folder}", hint="Run it: mitozoo plan run FILE.toml")
    return found[-1]


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a journal; one that a kill tore is left out."""
    lines = []
    for text in path.read_bytes().splitlines():
        try:
            line = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines
