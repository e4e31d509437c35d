"""What stands between a plugin's code and the host while it runs: stdout kept clean, and an eye on the clock."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from mitozoo.errors import MitozooError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds after which a plugin that is still busy is named on stderr.
PATIENCE = 5.0
TIMEOUT_VARIABLE = "MITOZOO_IMPORT_TIMEOUT"


class PluginTimeout(BaseException):
    """A plugin took longer than the user waits; no `Exception`, which a plugin might catch on its way."""


@contextlib.contextmanager
def guarded(plugin: str, label: str, doing: str, seconds: float, *, remedy: str = "") -> Iterator[None]:
    """Run a plugin's code: what it prints goes to stderr; if it hangs it is named, then abandoned.

    Only the main thread of a POSIX process can abandon it; elsewhere it is named alone.

    Args:
        plugin: name that switches it off.
        label: distribution and version.
        doing: what it does, such as 'importing'.
        seconds: time that it may take.
        remedy: what to change to go without it; empty: the variable that disables the plugin.

    Raises:
        PluginTimeout: it took longer.
    """
    stderr = sys.stderr

    def name_it() -> None:
        notice = (
            f"mitozoo: plugin '{plugin}' ({label}) is still {doing} after {PATIENCE:g} s; "
            f"to go without it: {remedy or f'MITOZOO_DISABLE_PLUGINS={plugin}'}"
        )
        print(notice, file=stderr, flush=True)

    reason = f"did not finish {doing} within {seconds:g} s"
    watched = _by_alarm(name_it, seconds, reason) if _alarm_is_free() else _by_thread(name_it)
    with contextlib.redirect_stdout(stderr), watched:
        yield


def time_allowed() -> float:
    """Return the seconds that a plugin may take: `MITOZOO_IMPORT_TIMEOUT`, else 30."""
    return seconds_stated(TIMEOUT_VARIABLE, 30)


def seconds_stated(variable: str, otherwise: float) -> float:
    """Return the seconds that an environment variable states, or others where it states nothing."""
    text = os.environ.get(variable) or f"{otherwise:g}"
    try:
        seconds = float(text)
        if not 0 < seconds < float("inf"):
            raise ValueError(text)
    except ValueError as error:
        raise MitozooError(f"{variable} is '{text}'; it must be a number of seconds above 0") from error
    return seconds


def _alarm_is_free() -> bool:
    """Tell whether this thread may use the alarm: a handler that C code has set could not be put back."""
    possible = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    return possible and signal.getsignal(signal.SIGALRM) is not None


@contextlib.contextmanager
def _by_thread(name_it: Callable[[], None]) -> Iterator[None]:
    watchdog = threading.Timer(PATIENCE, name_it)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


@contextlib.contextmanager
def _by_alarm(name_it: Callable[[], None], seconds: float, reason: str) -> Iterator[None]:
    """Name the plugin when patience ends; raise `PluginTimeout` in the body when time does, and again each second.

    Again, in case the body swallows it. No thread: starting two a plugin was half of what all plugins cost.
    """
    named = False

    def ring(*_: object) -> None:
        nonlocal named
        if not named and seconds > PATIENCE:
            named = True
            signal.setitimer(signal.ITIMER_REAL, seconds - PATIENCE, 1.0)
            with contextlib.suppress(RuntimeError):  # the plugin was writing to stderr itself at this very moment
                name_it()
        else:
            raise PluginTimeout(reason)

    began = time.monotonic()
    earlier_handler = signal.getsignal(signal.SIGALRM)
    earlier_delay, earlier_interval = signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, ring)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, min(seconds, PATIENCE), 1.0)
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # twice, since the alarm may ring while the inner one begins
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier_handler)
        if earlier_delay:
            left = earlier_delay - (time.monotonic() - began)
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-6), earlier_interval)
