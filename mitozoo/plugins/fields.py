"""What several records refuse in their fields: words, names and lists that cannot be meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

from mitozoo.errors import SpecError

if TYPE_CHECKING:
    from mitozoo.plugins.record import Record

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def require_names(record_name: str, *names: str) -> None:
    """Refuse what cannot be typed as the name of a model, a dataset or a folder."""
    for text in names:
        if not isinstance(text, str) or not NAME.fullmatch(text):
            raise SpecError(f"{record_name} name {text!r} must be lower-case letters, digits, '.', '_' or '-'")


def require_lists(record: Record, *names: str) -> None:
    """Refuse one text where a list of texts belongs: it would be taken apart into letters."""
    for name in names:
        value = getattr(record, name)
        if value is not None and not (isinstance(value, tuple) and all(isinstance(item, str) for item in value)):
            raise SpecError(f"{type(record).__name__}.{name} must be a list of texts, not {value!r}")


def require_word(where: str, value: str, words: Any) -> None:
    """Refuse a value that is none of the words of a `Literal`."""
    allowed = get_args(words)
    if value not in allowed:
        raise SpecError(f"{where} is {value!r}; it must be one of {', '.join(map(repr, allowed))}")
