"""What every reader returns: cells as the label file has them, nothing checked yet, each row findable in its source."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mitozoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

COLUMNS = ("cell_id", "slide", "file", "x", "y", "raw_label")
OPTIONAL = ("case",)


@dataclass(frozen=True, eq=False)
class RawCells:
    """Cells before validation.

    Attributes:
        table: cell_id, slide, case, file and raw_label as text; x and y as the source has them; raw_votes as lists of
            text. The index counts rows as the source does.
        own: the source's own columns as text, for the templates of domains.
        source: the file, or the plugin's function, as messages name it.
        row_word: what the source calls a row: 'line', 'row' or 'annotation'.
        slides: 'slide', 'file' and further columns as text, one entry for each image that the label files name, whether
            it holds cells or not; empty where they name no others.
    """

    table: pd.DataFrame
    own: Mapping[str, Sequence[str]]
    source: str
    row_word: str
    slides: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def all_slides(self) -> Mapping[str, Sequence[str]]:
        """Return `slides`, else the slides of the cells."""
        if self.slides:
            return self.slides
        first = self.table.drop_duplicates("slide")
        return {"slide": first["slide"].tolist(), "file": first["file"].tolist()}

    def refuse(self, bad: npt.ArrayLike, problem: Callable[[int], str], *, hint: str | None = None) -> None:
        """Raise `DataError` for the first row marked in `bad` (n,), and say how many more there are."""
        rows = np.flatnonzero(np.asarray(bad, dtype=bool))
        if rows.size:
            first = int(rows[0])
            more = f" (and {rows.size - 1:,} rows more)" if rows.size > 1 else ""
            where = f"{self.source}, {self.row_word} {self.table.index[first]}"
            raise DataError(f"{where}: {problem(first)}{more}", hint=hint)


def require_class_names(wanted: Mapping[str, str], found: Mapping[str, str], source: str) -> None:
    """Raise `DataError` for a class that is called otherwise than `wanted` (id -> pattern) says."""
    for key, pattern in wanted.items():
        if key not in found:
            listed = ", ".join(f"{one} '{name}'" for one, name in found.items()) or "none"
            raise DataError(f"{source} has no class {key}; its classes are {listed}")
        if not re.fullmatch(pattern, found[key].strip(), flags=re.IGNORECASE):
            raise DataError(
                f"{source}: its class {key} is called '{found[key]}', and should be called '{pattern}'",
                hint="It may be the label file of another dataset.",
            )


def shorten(value: object) -> str:
    """Return a value as a message quotes it: its first 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def text_column(values: pd.Series) -> list[str]:
    """Return a column as text; what is missing as ''."""
    return ["" if missing else str(value) for value, missing in zip(values, values.isna(), strict=True)]


def fill_template(template: str, columns: Mapping[str, Sequence[str]], length: int, *, source: str) -> Sequence[str]:
    """Return a template such as '{dataset}_{uid}' filled for each of `length` rows.

    Only plain column names stand in braces, so that a template can reach nothing but the row's own text.
    """
    parts = template_parts(template)
    if len(parts) == 1 and parts[0][0] == "" and parts[0][1] is not None:  # a column as it is
        return find_column(parts[0][1], columns, source=source)
    filled = [""] * length
    for literal, name in parts:
        if name is None:
            filled = [text + literal for text in filled]
        else:
            values = find_column(name, columns, source=source)
            filled = [text + literal + value for text, value in zip(filled, values, strict=True)]
    return filled


def find_column(name: str, columns: Mapping[str, Sequence[str]], *, source: str) -> Sequence[str]:
    """Return a column, or say which columns there are."""
    if name not in columns:
        raise DataError(f"{source} has no column '{name}'; it has {', '.join(columns) or 'none'}")
    return columns[name]


def template_parts(template: str) -> list[tuple[str, str | None]]:
    """Return pairs of literal text and the column that follows it, None at the end."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise DataError(f"template '{template}' cannot be read: {error}") from error
    if any(extra for _, _, *rest in parts for extra in rest):
        raise DataError(f"template '{template}' may hold column names only, as in '{{dataset}}_{{uid}}'")
    return [(literal, name) for literal, name, *_ in parts]
