"""Opens a SQLite file that a stranger made: only to be read, with bounds, and trusting nothing in it that computes."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 1_000_000,  # bytes of a text or a row; no honest name is longer
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 4,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
}
#: Steps of SQLite's machine that reading may take. A row has ten bytes at least, and reading and sorting it takes some
#: dozens of steps; pages that lead to each other in a ring or a fan would take billions.
STEPS_AT_LEAST, STEPS_A_BYTE, STEPS_AT_ONCE = 2_000_000, 100, 10_000


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield the open database; nothing is written to it or beside it.

    Raises:
        sqlite3.Error: what was asked of it fails, or takes more steps than its size explains.
    """
    left = STEPS_AT_LEAST + STEPS_A_BYTE * path.stat().st_size

    def out_of_steps() -> bool:
        nonlocal left
        left -= STEPS_AT_ONCE
        return left < 0

    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        for limit, most in LIMITS.items():
            database.setlimit(limit, most)
        for pragma in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
            database.execute(f"PRAGMA {pragma}")
        database.set_progress_handler(out_of_steps, STEPS_AT_ONCE)
        try:
            yield database
        except sqlite3.OperationalError as error:
            if left < 0:
                raise sqlite3.OperationalError("it takes more steps to read than its size explains") from error
            raise


def stored_columns(database: sqlite3.Connection, table: str) -> set[str]:
    """Return the columns whose values lie in the file: those that are computed could be of any size."""
    return {row[1] for row in database.execute(f"PRAGMA table_xinfo({table})") if row[6] == 0}
