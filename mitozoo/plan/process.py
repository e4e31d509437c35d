"""How a worker process is kept in bounds, whoever started it: its time, its memory, its children, and its end."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TOO_LATE = 1  # how `faulthandler` ends a process at its time limit
TOO_LARGE = 137  # what a shell shows of a process that was killed for its memory
_LOOK_S = 0.2
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_OPEN = contextlib.ExitStack()  # what stays open for as long as the process lives


def die_with_parent(parent: int | None = None) -> None:
    """Have the system kill this process once its parent has died, where it can (Linux).

    Args:
        parent: its process id where that is known: it may have died before this call.
    """
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # a C library without it
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(0)


def be_first_to_go() -> None:
    """Have the system, where memory runs out, end this process rather than the one that started it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def watch_memory(limit: int | None) -> None:
    """End this process once it takes more than `limit` bytes, before the machine runs out of memory."""
    if limit is None or not memory():
        return

    def watch() -> None:
        while memory() <= limit:
            time.sleep(_LOOK_S)
        sys.stderr.write(f"this worker takes more than the {limit / 1e9:g} GB that its plan allows, and ends\n")
        sys.stderr.flush()
        os._exit(TOO_LARGE)

    threading.Thread(target=watch, name="memory", daemon=True).start()


def memory() -> int:
    """Return the bytes of memory that this process takes now; 0 where that cannot be told."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def log_events(path: str) -> None:
    """Append to a file, for as long as this process lives, what happens in its tasks; see `mitozoo.engine.log`."""
    from mitozoo.engine.log import log_to
    from mitozoo.errors import StorageError

    with contextlib.suppress(StorageError):  # another machine's folder that this one cannot write to
        _OPEN.enter_context(log_to(Path(path)))


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End this process, and write where each thread was, if the body takes longer.

    The clock is a thread of C that needs no interpreter lock, so that it also ends what hangs while holding it.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
