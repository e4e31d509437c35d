"""Claims on named pieces of work below a folder, so that several processes do each of them once.

A claim is a lock on one byte of a small file, at a place made of the name: any number of them need one file, and the
system itself gives them back when a process dies. Where a file system knows no such locks, work may be done twice, and
since everything is written whole, to the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CLAIMS = ".claims"
_BYTES_OF_A_PLACE = 7  # below 2**63, which is as far as a file reaches


@contextlib.contextmanager
def claimed(folder: Path, names: Iterable[str] | None) -> Iterator[bool]:
    """Claim pieces of work for this process while the body runs; yield False where another process holds one.

    A process makes no second claim below the same folder meanwhile: the first to end would end both.

    Args:
        folder: that the work is written to.
        names: of the pieces; None: all that there can be.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield True
        return
    with contextlib.ExitStack() as stack:
        taken = True
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / CLAIMS).open("a+b"))
            places = [(0, 0)] if names is None else [(1, _place(name)) for name in sorted(set(names))]
            for length, start in places:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        except BlockingIOError:
            taken = False
        except OSError:  # read-only, or without locks: nobody can be kept away
            taken = True
        yield taken


def _place(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:_BYTES_OF_A_PLACE], "big")
