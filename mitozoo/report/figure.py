"""A figure: a chart, what it shows in words, and the data that it is made of."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from mitozoo.results.spreadsheet import no_formula

Value = str | int | float | None
Rows = list[list[Value]]


@dataclass(frozen=True)
class Figure:
    """One chart of a section.

    Attributes:
        name: short and unique among the figures of a section, such as 'roc'.
        title: what it shows.
        note: how to read it, and what it must not be taken for.
        svg: the chart, with a title and a description of its own.
        headers, rows: its data.
        shown: every so manieth row is shown on the page; files hold all.
    """

    name: str
    title: str
    note: str
    svg: str
    headers: list[str]
    rows: Rows
    shown: int = 1

    @property
    def texts(self) -> list[list[str]]:
        """The rows that the page shows, as text."""
        return [[text(value) for value in row] for row in self.rows[:: self.shown]]

    def csv(self) -> str:
        """Return all rows as CSV; a text that a spreadsheet would take for a formula is led by an apostrophe."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([no_formula(header) for header in self.headers])
        writer.writerows([[no_formula(value) for value in row] for row in self.rows])
        return file.getvalue()


def text(value: Value) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
