"""Loads a JSON file, or says in one sentence why it is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from mitozoo.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def load(path: Path) -> Any:
    """Return a file's JSON value.

    Raises:
        DataError: the file is unreadable, truncated, nested without end, or holds NaN or Infinity.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:  # bad text and bad JSON are ValueErrors
        raise DataError(f"{path} cannot be read as JSON: {error}") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"it holds {constant}, which is no number")
