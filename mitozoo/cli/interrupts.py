"""Ctrl-C, heard after an import and not within it: libraries in C abort, or go on half imported, if it reaches them."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SECONDS = 0.05  # between two looks at whether the import is over
LOOKS = 100  # before Ctrl-C is heard all the same: a plugin may hang while it is imported


@contextlib.contextmanager
def heard_between_imports() -> Iterator[None]:
    """Have Ctrl-C raise `KeyboardInterrupt` as ever, but once an import is done: within 5 s, or pressed again, at once.

    Where SIGINT is ignored, or somebody else's, outside the main thread, and on Windows, nothing changes.
    """
    import threading

    ours = hasattr(signal, "pthread_kill") and threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    look_again: threading.Timer | None = None
    looks = 0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal look_again, looks
        if look_again is not None or looks == LOOKS or not _importing(frame):
            if look_again is not None:
                look_again.cancel()  # else it would be heard once more, by whoever cleans up
            signal.default_int_handler(number, frame)
        looks += 1
        look_again = threading.Timer(SECONDS, interrupt_again, [number])
        look_again.daemon = True
        look_again.start()

    def interrupt_again(number: int) -> None:
        nonlocal look_again
        look_again = None
        signal.pthread_kill(threading.main_thread().ident or 0, number)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if look_again is not None:
            look_again.cancel()


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
