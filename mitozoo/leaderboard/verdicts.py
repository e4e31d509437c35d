"""What `mitozoo submission check --verdict FILE` found out about results, one small JSON file each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mitozoo.errors import DataError
from mitozoo.leaderboard.words import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA_VERSION = 1
#: From what anyone may claim to what was computed again.
LEVELS = ("self-reported", "arithmetic verified", "reproduced")
MOST_BYTES, MOST_FLAGS = 1_000_000, 64


@dataclass(frozen=True)
class Verdict:
    """How far a result was checked.

    Attributes:
        level: one of `LEVELS`.
        flags: what a reader must know beside it.
        checked_at: UTC, as ISO text; '' where nobody checked.
    """

    level: str = LEVELS[0]
    flags: tuple[str, ...] = ()
    checked_at: str = ""

    @property
    def checked(self) -> bool:
        """Whether anything was computed again."""
        return self.level != LEVELS[0]


UNCHECKED = Verdict()


def read_verdicts(folder: Path) -> Mapping[str, Verdict]:
    """Return verdicts by the sha256 of the result.json that they are about; of several the latest.

    Raises:
        DataError: a file is no verdict that this version knows; the message names it.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder", hint="--verdicts names the folder of *.json files that the check wrote."
        )
    found: dict[str, Verdict] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            sha256, verdict = _read(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{path} is no verdict of 'mitozoo submission check': {error}") from error
        if sha256 not in found or verdict.checked_at >= found[sha256].checked_at:
            found[sha256] = verdict
    return found


def utc(text: Any) -> str:
    """Return an ISO time as UTC, to the second.

    Raises:
        ValueError: it is none, or says no time zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError(f"{text} names no time zone")
    return (moment - moment.utcoffset()).replace(tzinfo=None, microsecond=0).isoformat() + "Z"  # type: ignore[operator]


def _read(path: Path) -> tuple[str, Verdict]:
    import orjson

    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES:,} bytes")
    stated: dict[str, Any] = orjson.loads(path.read_bytes())
    if stated["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"its schema_version is {stated['schema_version']!r}; this version reads {SCHEMA_VERSION}")
    sha256, level, flags = (stated[name] for name in ("result_sha256", "level", "flags"))
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError("its result_sha256 is no sha256")
    if level not in LEVELS:
        raise ValueError(f"its level is {level!r}; it must be one of {', '.join(LEVELS)}")
    if not isinstance(flags, list) or len(flags) > MOST_FLAGS:
        raise ValueError(f"its flags are no list of at most {MOST_FLAGS}")
    return sha256, Verdict(level, tuple(plain(flag, "flags") for flag in flags), utc(stated["checked_at"]))
