"""Plain aligned tables and JSON, for lists on stdout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mitozoo.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, err: bool = False) -> None:
    """Print rows of text below their headers, columns aligned; leave out a column without any text."""
    if not rows:
        return
    rows = [[" ".join(printable(cell).split()) for cell in row] for row in rows]  # one line, whatever a plugin wrote
    kept = [n for n in range(len(headers)) if any(row[n] for row in rows)]
    widths = {n: max(len(row[n]) for row in (headers, *rows)) for n in kept}
    for row in (headers, *rows):
        click.echo("  ".join(row[n].ljust(widths[n]) for n in kept).rstrip(), err=err)


def print_json(value: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2))
