"""Whoever hears what a command does beside the person at the screen: its log, its counts, and what failed."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

import click

from mitozoo.engine.log import JsonLines, heard_by, tell
from mitozoo.errors import MitozooError
from mitozoo.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SOME_FAILED = 3


def keep_log(context: click.Context, path: Path) -> None:
    """Append everything that this command does from now on to a file; see `--log`."""
    from importlib.metadata import version

    context.find_root().with_resource(heard_by(JsonLines(path)))
    tell("start", context.command_path, arguments=sys.argv[1:], mitozoo=version("mitozoo"), host=platform.node())


def count_for_prometheus(context: click.Context, path: Path) -> None:
    """Count everything that this command does from now on; see `--prometheus`."""
    from mitozoo.engine.prometheus import PrometheusFile

    context.find_root().with_resource(heard_by(PrometheusFile(path)))


def leave_with_failures(failures: Sequence[tuple[str, Exception]], of: int, what: str) -> None:
    """Sum up on stderr what failed and why, and exit with 3; return where nothing failed.

    Args:
        failures: name of each thing that failed, and its error.
        of: how many there were.
        what: they are, such as 'runs'.
    """
    if not failures:
        return
    click.echo(f"{len(failures)} of {of} {what} failed:", err=True)
    for name, error in failures:
        told = error.message if isinstance(error, MitozooError) else f"{type(error).__name__}: {error}"
        hint = f" ({error.hint})" if isinstance(error, MitozooError) and error.hint else ""
        click.echo(redact(f"  {name}: {told}{hint}"), err=True)
    click.get_current_context().exit(SOME_FAILED)
