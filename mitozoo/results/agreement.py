"""Whether recorded values are the recomputed ones, numbers but for rounding, and where they are not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mitozoo.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterator

TOLERANCE = 1e-9
SHOWN_CHARACTERS = 200  # of a value; a forged one may be of any length


def differences(computed: Any, recorded: Any, where: str = "", *, exact: bool = False) -> Iterator[str]:
    """Yield where recorded JSON values differ from computed ones.

    Args:
        computed: dicts, lists, tuples, texts and numbers.
        recorded: the same, as a document states them.
        where: what stands in front of each place, ending with a dot.
        exact: whether keys that only the record has are differences too; a newer version may have written them.
    """
    if isinstance(computed, dict) and isinstance(recorded, dict):
        for key, value in computed.items():
            if key not in recorded:
                yield f"{where}{key} is missing"
            else:
                yield from differences(value, recorded[key], f"{where}{key}.", exact=exact)
        for key in recorded.keys() - computed.keys() if exact else ():
            yield f"{where}{_shown(key)} is nothing that this version of mitozoo computes"
    elif isinstance(computed, list | tuple) and isinstance(recorded, list | tuple):
        if len(computed) != len(recorded):
            yield f"{where[:-1]} has {len(recorded)} entries, not {len(computed)}"
        else:
            for index, (ours, theirs) in enumerate(zip(computed, recorded, strict=True)):
                yield from differences(ours, theirs, f"{where}{index}.", exact=exact)
    elif not _same(computed, recorded):
        yield f"{where[:-1]} is recorded as {_shown(recorded)}, recomputed as {_shown(computed)}"


def agree(what: str, computed: Any, recorded: Any) -> None:
    """Raise `VerificationError` where a recorded value is not the computed one.

    Args:
        what: the value's name, for the message.
        computed: as in `differences`.
        recorded: as in `differences`.
    """
    for difference in differences(computed, recorded, f"{what}."):
        raise VerificationError(difference)


def expect(holds: bool, otherwise: str) -> None:
    """Raise `VerificationError` with the sentence `otherwise` unless something holds."""
    if not holds:
        raise VerificationError(otherwise)


def _same(one: Any, other: Any) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE) if numbers else bool(one == other)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
