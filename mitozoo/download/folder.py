"""The folder that a dataset is fetched into, and whether it holds what can be worked with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo import storage
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.plugins.dataset_spec import DatasetSpec


def own_folder(spec: DatasetSpec) -> Path:
    """Return the folder that a dataset's files are fetched into where no other one is named."""
    return storage.home() / "datasets" / (spec.folder or spec.name)


def fetched_folder(spec: DatasetSpec) -> Path:
    """Return the dataset's own folder with all its label files in it.

    Raises:
        DataError: nothing or not everything was fetched; says what to type.
    """
    folder = own_folder(spec)
    if not spec.files:
        if folder.is_dir() and next(folder.iterdir(), None) is not None:
            return folder  # put there by hand
        where = spec.by_hand or f"See {spec.reference}."
        raise DataError(
            f"dataset '{spec.name}' does not come with mitozoo, and no folder of its files was given",
            hint=f"Pass --data DIR with the folder that you downloaded, or put its files in {folder}.\n{where}",
        )
    missing = [file.path for file in spec.remote_files(labels_only=True) if not (folder / file.path).exists()]
    if missing:
        begun = folder.is_dir()
        problem = f"was not fetched whole: {missing[0]} is not in {folder}" if begun else "is not on this machine"
        raise DataError(
            f"dataset '{spec.name}' {problem}, and no folder of its files was given",
            hint=f"Type: mitozoo fetch {spec.name}{_size(spec)}; or pass --data DIR with its files.",
        )
    return folder


def _size(spec: DatasetSpec) -> str:
    size = published_bytes(spec)
    return f" ({size / 1e9:,.3g} GB)" if size else ""


def published_bytes(spec: DatasetSpec) -> int | None:
    """Return the size of all remote files as published; None where it is not told of each."""
    if spec.download_gb is not None:
        return round(spec.download_gb * 1e9)
    sizes = [file.size for file in spec.remote_files()]
    known = [size for size in sizes if size is not None]
    return sum(known) if sizes and len(known) == len(sizes) else None


def sources(spec: DatasetSpec) -> tuple[str, ...]:
    """Return the hosts that a dataset's files come from."""
    from urllib.parse import urlsplit

    return tuple(dict.fromkeys(urlsplit(one.url).hostname or "" for one in spec.files))
