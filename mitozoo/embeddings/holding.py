"""Which cache folders live processes use, and when each was used last."""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

USED = ".used"  # its modification time tells when a folder was used last
HELD_PREFIX = ".held-"
LOCKS = ".locks"


def hold(folder: Path) -> None:
    """Mark a cache folder as used now, and as held by this process until it ends, where it can be written."""
    marker = folder / f"{HELD_PREFIX}{socket.gethostname()}-{os.getpid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if not marker.exists():
            atexit.register(marker.unlink, missing_ok=True)
        marker.touch()
        (folder / USED).touch()


@contextlib.contextmanager
def alone(folder: Path, work: str, on_note: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of some work in a cache folder; whoever comes second waits, and must then look what is left to do.

    Args:
        folder: of the cache; in one that cannot be written there is nothing to be alone with.
        work: names it, in hex digits; of 65,536 locks one is taken, so that the folder stays small.
        on_note: told that this process waits.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCKS / work[:4])
    with contextlib.suppress(OSError):
        (folder / LOCKS).mkdir(exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_note("another process does the same work: waiting for it")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Tell whether a live process holds a folder; of other machines that share it, one that took it within a day."""
    here = f"{HELD_PREFIX}{socket.gethostname()}-"
    for marker in folder.glob(f"{HELD_PREFIX}*"):
        with contextlib.suppress(OSError):
            if marker.name.startswith(here):
                if _is_alive(marker.name.removeprefix(here)):
                    return True
                marker.unlink(missing_ok=True)
            elif time.time() - marker.stat().st_mtime < 86_400:
                return True
    return False


def last_used(folder: Path) -> float:
    """Return when a cache folder was used last, in seconds since the epoch."""
    marker = folder / USED
    return (marker if marker.exists() else folder).stat().st_mtime


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):  # another user's process; or no number: nobody knows
        return True
    return True
