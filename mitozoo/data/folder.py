"""The folder that a dataset's files lie in: the one that was named, fetched into, or is made here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo import storage
from mitozoo.download.folder import fetched_folder
from mitozoo.download.manifest import require_unchanged
from mitozoo.errors import DataError, MitozooError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.plugins.dataset_spec import DatasetSpec

PREPARED_BYTES = 500_000_000  # room asked for before a dataset is generated


def select_data_folder(spec: DatasetSpec, data: Path | None) -> Path:
    """Return the dataset's folder: `data` where given, else the one that it was fetched into or makes itself.

    Raises:
        DataError: there is no such folder, it is empty, or a fetched file in it was changed; or none was given, and the
            dataset was not fetched and cannot make one.
    """
    if data is not None:
        if data.is_dir() and next(data.iterdir(), None) is not None:
            require_unchanged(data, spec)
            return data
        problem = "is empty" if data.is_dir() else "is a file, not a folder" if data.exists() else "does not exist"
        raise DataError(
            f"the data folder {data} of dataset '{spec.name}' {problem}",
            hint=f"Point --data to the folder that holds {getattr(spec.cells, 'path', 'its files')}.",
        )
    if spec.prepare is None:
        folder = fetched_folder(spec)
        require_unchanged(folder, spec)
        return folder
    folder = storage.home() / "datasets" / f"{spec.name}-v{spec.prepare_version}"
    if not folder.is_dir():
        _prepare(spec, folder)
    return folder


def _prepare(spec: DatasetSpec, folder: Path) -> None:
    from filelock import FileLock

    assert spec.prepare is not None
    storage.require_free_space(folder, PREPARED_BYTES, f"dataset '{spec.name}'")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if folder.is_dir():  # another process made it while this one waited
                return
            with storage.write_folder_whole(folder) as unfinished:
                spec.prepare(unfinished)
    except MitozooError:
        raise
    except Exception as error:
        raise DataError(f"dataset '{spec.name}' could not be made in {folder}: {error}") from error
