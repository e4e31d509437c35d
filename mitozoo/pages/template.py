"""A room's own page.html, page.js and page.css, joined with what all pages share into one escaping template."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template

SHARED = "mitozoo.pages"


@functools.cache
def template(room: str) -> Template:
    """Return the template of a room's pages; whatever is put into it is escaped.

    Styles and script lie inside the page, and its policy allows that one script by its hash and forbids all else: a
    page works from a disk, asks nobody for anything, and runs nothing that a name in a document smuggled in.

    Args:
        room: the package that holds page.html, page.js and page.css, such as 'mitozoo.report'.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    style, script = _text(SHARED, "style.css") + _text(room, "page.css"), _text(room, "page.js")
    loader = FunctionLoader(functools.partial(_text, SHARED))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False, loader=loader)
    environment.globals |= {
        "css": Markup(style),  # noqa: S704 - these packages' own files, as are the next
        "script": Markup(script),  # noqa: S704
        "script_sha256": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return environment.from_string(_text(room, "page.html"))


def _text(room: str, name: str) -> str:
    return (files(room) / name).read_text(encoding="utf-8")
