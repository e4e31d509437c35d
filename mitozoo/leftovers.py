"""What is being written bears its writer's name, so that what killed processes leave behind is known, and removed.

A lock alone would not tell: many file systems that machines share keep each one's locks to itself.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = ".unfinished-"
SECONDS_UNTOUCHED = 3600.0  # after which what another machine was writing is taken for left behind
_NAME = re.compile(rf"{re.escape(PREFIX)}(?P<machine>.+)\.(?P<process>\d+)-[a-z0-9_]+(\..*)?")


def prefix() -> str:
    """Return what the names of all that this process is writing begin with."""
    return f"{PREFIX}{_machine()}.{os.getpid()}-"


def remove_from(folder: Path) -> None:
    """Remove what killed processes were writing into a folder: of this machine at once, of others after an hour."""
    for path in folder.glob(f"{PREFIX}*"):
        remove(path)


def remove(path: Path) -> bool:
    """Remove what bears the name of something unfinished, if nobody writes it any more; return whether."""
    with contextlib.suppress(OSError):  # its writer has finished it, or somebody else removed it
        if _is_abandoned(path):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            return True
    return False


def _is_abandoned(path: Path) -> bool:
    name = _NAME.fullmatch(path.name)
    if name and name["machine"] == _machine() and _has_ended(int(name["process"])):
        return True
    touched = max(each.stat().st_mtime for each in (path, *path.rglob("*")))
    return time.time() - touched > SECONDS_UNTOUCHED


def _machine() -> str:
    return platform.node() or "unknown"


def _has_ended(process: int) -> bool:
    if os.name == "nt":  # where signal 0 asks nothing
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    return False
