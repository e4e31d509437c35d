"""Find a dataset by what a user types, a registered name or a table of one's own cells, and the folder of its files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mitozoo.data.folder import select_data_folder
from mitozoo.errors import SplitError
from mitozoo.plugins.names import Registered
from mitozoo.plugins.registry import load_registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.engine.request import Request
    from mitozoo.plugins.dataset_spec import DatasetSpec

TABLE_ENDINGS = (".csv", ".tsv", ".parquet", ".pq")


@dataclass(frozen=True)
class FoundDataset:
    """A dataset, and the folder that its files lie in."""

    registered: Registered[DatasetSpec]
    folder: Path

    @property
    def spec(self) -> DatasetSpec:
        """Its record."""
        return self.registered.spec


def find_data(name: str, data: Path | None = None) -> FoundDataset:
    """Return a dataset with its folder: `data`, else the one that it was fetched into, is made in, or a table lies in.

    Raises:
        UnknownNameError: no plugin offers it.
        DataError: the table or the folder is missing, or fetched files were changed.
    """
    registered = find_dataset(name)
    return FoundDataset(registered, select_data_folder(registered.spec, data_folder(name, data)))


def find_data_of(request: Request) -> tuple[FoundDataset, ...]:
    """Return the datasets that a request names, the one that is trained on first.

    Raises:
        MitozooError: as `find_data`, or a dataset is named twice.
    """
    folders = {request.dataset: request.data} | {name: request.test_data.get(name) for name in request.test_on}
    if len(folders) <= len(request.test_on):
        raise SplitError("a dataset is tested twice, or on itself", hint="Name each dataset once.")
    return tuple(find_data(name, folder) for name, folder in folders.items())


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


def require_known_names(request: Request) -> None:
    """Raise `UnknownNameError` for a model or dataset that no plugin offers; imports nothing heavy."""
    from mitozoo.models.on_the_spot import is_on_the_spot

    if request.model is not None and not is_on_the_spot(request.model):
        load_registry().model(request.model)
    for dataset in (request.dataset, *request.test_on):
        find_dataset(dataset)


def fingerprint_of(datasets: Sequence[Registered[DatasetSpec]]) -> str:
    """Return 64 hex digits of a dataset's record, or of all of them."""
    prints = [dataset.spec.fingerprint() for dataset in datasets]
    return prints[0] if len(prints) == 1 else hashlib.sha256(" ".join(prints).encode()).hexdigest()
