"""Print the report of a check: findings on stdout, their sum on stderr, and exit code 1 where one failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mitozoo.errors import printable

if TYPE_CHECKING:
    from mitozoo.engine.findings import Report

COLOURS = {"PASS": "green", "WARN": "yellow", "FAIL": "red"}
A_CHECK_FAILED = 1


def show_report(report: Report, *, as_json: bool) -> None:
    """Print a report and leave."""
    if as_json:
        from mitozoo.cli.tables import print_json

        print_json(report.to_json())
    else:
        for status, text in report.lines():
            click.echo(f"{click.style(status, fg=COLOURS[status])}  {printable(text)}")
        click.echo(report.summary(), err=True)
    click.get_current_context().exit(0 if report.passed else A_CHECK_FAILED)
