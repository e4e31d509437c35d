"""How much slower is Python here and now than on a quiet machine: for tests that hold a goal in seconds anywhere."""

from __future__ import annotations

import inspect
import time

WORK = inspect.getsource(inspect)
#: Seconds that compiling this takes on the machine that the goals were set for, when it does nothing else.
QUIET = 0.014


def slowness() -> float:
    """Return 1 on that machine or a faster one; a core that is shared with others charges twice the time and more."""
    began = time.process_time()
    compile(WORK, "yardstick", "exec")
    return max(1.0, (time.process_time() - began) / QUIET)
