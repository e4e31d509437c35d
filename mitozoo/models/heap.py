"""The processor's memory between two batches: kept for the next one, not given back and asked for again."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Numbers and usual values of glibc's malloc.h and malloc.c.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: Larger blocks than this, such as whole tables, still come from the system and go back to it.
LARGEST_KEPT = 2**28
_KEEP_ALL = 2**31 - 1
#: Where glibc's own adaption ends once blocks of this size were freed.
_ADAPTED_MMAP, _ADAPTED_TRIM = 2**25, 2**26

_lock = threading.Lock()
_users = 0


@contextlib.contextmanager
def kept_memory(device: str) -> Iterator[None]:
    """Have what a network's layers free be kept for those of the next batch, while it runs on this processor.

    By default glibc takes each activation of some megabytes anew from the system, which clears every page of it: up to
    half of the time of a small network. What is kept is given back at the end. Nothing happens on other devices, nor
    with another C library.

    Args:
        device: that the network runs on.
    """
    mallopt = _mallopt() if device == "cpu" else None
    if mallopt is None:
        yield
        return
    global _users  # noqa: PLW0603 - of the process, as the memory is
    with _lock:
        _users += 1
        mallopt(_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(_TRIM_THRESHOLD, _KEEP_ALL)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                mallopt(_MMAP_THRESHOLD, _ADAPTED_MMAP)
                mallopt(_TRIM_THRESHOLD, _ADAPTED_TRIM)
                give_back()


def give_back() -> None:
    """Give the system what this process has freed: reading a table of millions of rows leaves a gigabyte of it."""
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    if _mallopt() is not None:
        ctypes.CDLL(None).malloc_trim(0)


@functools.cache
def _mallopt() -> Callable[[int, int], int] | None:
    """Return glibc's function that sets how memory is kept; None with another library."""
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return None
    return ctypes.CDLL(None).mallopt if version else None
