"""How long to wait before a server is asked again, and when to stop asking."""

from __future__ import annotations

import datetime as dt
import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class PassingError(Exception):
    """Something that may be over when the server is asked again.

    Attributes:
        retry_after: seconds that the server asked to be left alone; None: it did not say.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Patience:
    """Waits twice as long after each failure in a row; whatever brings a byte starts the count anew.

    Attributes:
        failures: how many in a row are borne.
        first: seconds after the first failure.
        longest: seconds at most, unless the server asks for more.
        longest_asked: a server that asks for more seconds than these is not waited for.
        sleep: waits; returns True where the wait was broken off.
        jitter: a number in 0..1, so that many clients do not come back at the same moment.
    """

    failures: int = 6
    first: float = 1.0
    longest: float = 60.0
    longest_asked: float = 900.0
    sleep: Callable[[float], object] = time.sleep
    jitter: Callable[[], float] = random.random

    def gives_up(self, failures: int, trouble: PassingError) -> bool:
        """Tell whether it is no use to ask again now."""
        return failures > self.failures or (trouble.retry_after or 0) > self.longest_asked

    def seconds(self, failures: int, trouble: PassingError) -> float:
        """Return how long to wait after so many failures in a row, from 1."""
        own = min(self.longest, self.first * 2.0 ** (failures - 1)) * (0.5 + self.jitter() / 2)
        return max(own, trouble.retry_after or 0)


def retry_after(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, as a number or as a date; None where it says nothing."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:  # '-0000': the date is in UTC
        until = until.replace(tzinfo=dt.UTC)
    return max(0.0, (until - dt.datetime.now(dt.UTC)).total_seconds())
