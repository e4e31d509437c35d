"""Strangers' words as parts of pages and of file names: short, on one line, and turned by nothing hidden."""

from __future__ import annotations

import hashlib
import re
from typing import Any

MOST_CHARACTERS = 400
#: Control characters, and those that hide, or turn the direction of what follows.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+")
_LINK = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[A-Za-z0-9._~:/?#@!$&()*+,;=%\[\]-]*)?")


def plain(value: Any, where: str) -> str:
    """Return a text on one line; what hides or turns letters becomes a space, and None is no text.

    Raises:
        ValueError: it is no text, or too long to be meant; `where` says which.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{where} is no text")
    if len(value) > MOST_CHARACTERS:
        raise ValueError(f"{where} is longer than {MOST_CHARACTERS} characters")
    return value if value.isascii() and value.isprintable() else _HIDDEN.sub(" ", value)


def link(text: str) -> str:
    """Return an address that a page may link to, or ''."""
    return text if _LINK.fullmatch(text) else ""


def file_name(words: str, key: str) -> str:
    """Return a name for a page: a few letters of its title, and the hash of what makes it unique."""
    slug = re.sub(r"[^a-z0-9]+", "-", words.lower())[:48].strip("-")
    return f"{slug or 'page'}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.html"
