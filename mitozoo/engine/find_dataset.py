"""Find a dataset by what a user types: a registered name, or the path of a table of one's own cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mitozoo.plugins.names import Registered
from mitozoo.plugins.registry import load_registry

if TYPE_CHECKING:
    from mitozoo.plugins.specs import DatasetSpec

TABLE_ENDINGS = (".csv", ".tsv", ".parquet", ".pq")


def find_dataset(name: str) -> Registered[DatasetSpec]:
    """Return the dataset of that name: 'ccmct', or 'cells.csv' with one row a cell.

    Raises:
        UnknownNameError: no plugin offers it.
        DataError: the table is missing or is none.
    """
    if not names_a_table(name):
        return load_registry().dataset(name)
    from mitozoo.data.own import own_dataset

    spec = own_dataset(Path(name))
    return Registered(spec, plugin="", version="", qualified_name=name, short_name_works=True)


def names_a_table(name: str) -> bool:
    """Tell whether a dataset's name is the path of a table of cells; no registered name ends so."""
    return name.lower().endswith(TABLE_ENDINGS)


def data_folder(name: str, data: Path | None) -> Path | None:
    """Return the folder of a dataset's files where it is known: `data`, else the one that a table lies in."""
    return data if data is not None or not names_a_table(name) else Path(name).absolute().parent
