"""Files from strangers: JSON without tricks, texts without hidden characters, tables of bounded size."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any

from mitozoo.errors import StorageError, VerificationError
from mitozoo.results.tables import CELLS, KEPT, PREDICTIONS, SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LONGEST_TEXT = 20_000
MOST_CELLS = 5_000_000
MOST_ROWS = 100_000_000  # of a table
MOST_BYTES = 4_000_000_000  # of a table once it is read
DOMAIN = "domain_"
COLUMNS = {
    CELLS: KEPT,
    SPLITS: ("cell_id", "fold", "seed", "fraction", "role"),
    PREDICTIONS: ("row_id", "cell_id", "score"),
}
TEXTS = ("string", "large_string", "string_view", "dictionary<values=string, indices=int32, ordered=0>")
WHOLE = ("int8", "int16", "int32", "int64")
VOTES = tuple(f"list<{item}: {kind}>" for item in ("element", "item") for kind in (*WHOLE, "null"))
KINDS = {"fold": WHOLE, "seed": WHOLE, "label": WHOLE, "fraction": ("double",), "score": ("double",), "votes": VOTES}


def read_json(path: Path, where: str = "") -> dict[str, Any]:
    """Return a JSON object that every reader reads alike: no key twice, no NaN, no hidden characters in texts.

    Args:
        path: the file.
        where: what messages call it; its name where not given.

    Raises:
        StorageError: it is missing, or no such document.
    """
    where = where or path.name
    try:
        document = json.loads(path.read_bytes(), parse_constant=_no_number, object_pairs_hook=_each_key_once)
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{where} is no JSON document that can be read: {str(error)[:LONGEST_TEXT]}") from error
    if not isinstance(document, dict):
        raise StorageError(f"{where} is no JSON object")
    if problem := next((found for found in map(unfit, _texts(document)) if found), ""):
        raise StorageError(f"{where} holds a text with {problem}")
    return document


def unfit(text: str) -> str:
    """Return why a text may not be shown to anyone, such as 'the hidden character U+202E'; '' where it may."""
    if len(text) > LONGEST_TEXT:
        return f"{len(text):,} characters, more than {LONGEST_TEXT:,}"
    if text.isprintable():
        return ""
    for character in text:
        if not (character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs"):
            return f"the hidden character U+{ord(character):04X}"
    return ""


def require_table(path: Path, where: str, most_rows: int) -> None:
    """Raise unless a Parquet file says that it holds the columns of its name, of their kinds, and not too much.

    Args:
        path: of cells.parquet, splits.parquet or predictions.parquet.
        where: what messages call it.
        most_rows: that it can need.

    Raises:
        StorageError: it is damaged, or holds something else.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            facts, schema = file.metadata, file.schema_arrow
            unpacked = sum(facts.row_group(number).total_byte_size for number in range(facts.num_row_groups))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StorageError(f"{where} is damaged: {error}") from error
    if facts.num_rows > min(most_rows, MOST_ROWS) or unpacked > MOST_BYTES:
        raise StorageError(f"{where} has {facts.num_rows:,} rows, more than it can need")
    columns = COLUMNS[path.name]
    further = [name for name in schema.names if name not in columns]
    if len(set(schema.names)) < len(schema.names) or not set(columns) <= set(schema.names):
        raise StorageError(f"{where} must have each of the columns {', '.join(columns)} once")
    if strange := [name for name in further if path.name != CELLS or not name.startswith(DOMAIN) or unfit(name)]:
        raise StorageError(f"{where} has a column {strange[0]!a}, which no submission has")
    for field in schema:
        if str(field.type) not in KINDS.get(field.name, TEXTS):
            raise StorageError(f"{where} has {field.type} in its column {field.name}")


def require_plain_cells(folder: Path, where: str) -> None:
    """Raise `VerificationError` for a name, slide, group or domain of a cell that is empty or may not be shown."""
    import pandas as pd

    cells = pd.read_parquet(folder / CELLS)
    for name in cells.columns:
        column = cells[name]
        if column.isna().any():
            raise VerificationError(f"{where}/{CELLS} has no value for some cell in its column {name}")
        if name in KINDS:
            continue
        if problem := next((found for found in map(unfit, column.unique()) if found), ""):
            raise VerificationError(f"{where}/{CELLS} has a text with {problem} in its column {name}")
        if name in ("cell_id", "slide", "group") and (column == "").any():
            raise VerificationError(f"{where}/{CELLS} has an empty {name}")


def _texts(document: dict[str, Any]) -> Iterable[str]:
    """Yield every text of a document, keys among them."""
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found
