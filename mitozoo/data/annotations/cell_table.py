"""Reads a `CellTable`: a CSV or Parquet file with one row a cell."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from mitozoo.data.annotations.raw import RawCells, fill_template, find_column, template_parts
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.plugins.formats import CellTable

Columns = Mapping[str, Sequence[str]]
BLOCK = 65_536  # values at a time that are Python's own


def read(layout: CellTable, path: Path) -> RawCells:
    """Return the table's cells; columns, templates and text only, values are checked later.

    Raises:
        DataError: the file is no such table, or lacks a column that the layout names.
    """
    columns, numbers, row_word = read_columns(path)
    for field, template in (("cell_id", layout.cell_id), ("label", layout.label)):
        if not any(name for _, name in template_parts(template)):
            raise DataError(f"CellTable.{field} '{template}' names no column; write '{{{template}}}'")

    def fill(template: str, filled_from: Columns = columns) -> Sequence[str]:
        return fill_template(template, filled_from, len(numbers), source=str(path))

    table = pd.DataFrame(
        {
            "cell_id": fill(layout.cell_id),
            "slide": fill(layout.slide),
            "case": fill(layout.case),
            "file": fill(layout.file, _with_file_words(layout, columns, path)),
            "x": find_column(layout.x, columns, source=str(path)) if layout.x else None,
            "y": find_column(layout.y, columns, source=str(path)) if layout.y else None,
            "raw_label": fill(layout.label),
        },
        index=pd.Index(numbers),
    )
    votes = [find_column(name, columns, source=str(path)) for name in layout.votes]
    each = [list(person) for person in zip(*votes, strict=True)] if votes else [[]] * len(numbers)
    table["raw_votes"] = pd.Series(each, index=table.index, dtype=object)
    if layout.mpp:
        table["mpp"] = find_column(layout.mpp, columns, source=str(path))
    return RawCells(table=table, own=columns, source=str(path), row_word=row_word)


def read_columns(path: Path, only: str | None = None) -> tuple[Columns, Sequence[int], str]:
    """Return a CSV or Parquet file's columns as text, each row's number, and what the file calls a row.

    Args:
        path: the file.
        only: the one column whose values are needed; those of others may be left empty.

    Raises:
        DataError: the file is no such table.
    """
    if path.suffix.lower() in {".parquet", ".pq"}:
        return *_parquet_columns(path, only), "row"
    return *_csv_columns(path), "line"


def _with_file_words(layout: CellTable, columns: Columns, path: Path) -> Columns:
    """Return the columns with the words that stand for their values in file names."""
    replaced = dict(columns)
    for name, words in layout.file_words.items():
        values = find_column(name, columns, source=str(path))
        if unknown := sorted(set(values) - set(words)):
            raise DataError(
                f"{path}: column '{name}' holds {unknown[0]!r}, and file names know only {', '.join(words)}"
            )
        replaced[name] = [words[value] for value in values]
    return replaced


def _csv_columns(path: Path) -> tuple[Columns, list[int]]:
    """Return a CSV file's columns as text, and each row's line; comma, semicolon or tab, whichever the header has."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header_line = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=header_line.count), strict=True)
            header = next(reader, [])
            rows, numbers = [], []
            for row in reader:
                if not row:  # a blank line
                    continue
                if len(row) != len(header):
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(row)} fields, and the header has {len(header)}"
                    )
                rows.append(row)
                numbers.append(reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV text: {error}") from error
    _require_different(path, header)
    return dict(zip(header, zip(*rows, strict=True) if rows else [()] * len(header), strict=True)), numbers


def _parquet_columns(path: Path, only: str | None = None) -> tuple[Columns, Sequence[int]]:
    """Return a Parquet file's columns as text, of all or of this one alone, and each row's number from 0."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with path.open("rb") as file:
            held = parquet.ParquetFile(file)
            names = held.schema_arrow.names
            _require_different(path, names)
            table = held.read(columns=None if only is None else [only])
        values = [_packed_text(column) for column in table.columns]
    except (OSError, pa.ArrowException, ValueError) as error:
        why = str(error).partition("\n")[0]
        raise DataError(f"{path} cannot be read as Parquet: {why}") from error
    return dict.fromkeys(names, ()) | dict(zip(table.column_names, values, strict=True)), range(table.num_rows)


def _packed_text(column: Any) -> Sequence[str]:
    """Return a column of a Parquet file as text, '' where there is none; packed, since a table may have many rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, text = column.type, pa.large_string()
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = pc.fill_null(column.cast(text), "")
    else:  # in Python's words
        blocks = (column.slice(start, BLOCK).to_pylist() for start in range(0, len(column), BLOCK))
        texts = pa.chunked_array(
            [pa.array(["" if value is None else str(value) for value in block], text) for block in blocks], text
        )
    texts.validate(full=True)
    return cast("Sequence[str]", pd.array(texts, dtype="str"))


def _require_different(path: Path, names: Sequence[str]) -> None:
    if twice := next((name for name in names if list(names).count(name) > 1), None):
        raise DataError(f"{path} has two columns called '{twice}'")
