"""Find result documents below a folder: so deep, so many, and never out of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mitozoo.errors import DataError, StorageError
from mitozoo.results.run_folder import RESULT

if TYPE_CHECKING:
    from pathlib import Path

#: Folders below each other, and names in all folders together: a results repository has fewer by far.
MOST_DEEP, MOST_NAMES = 12, 5_000_000


@dataclass(frozen=True)
class Found:
    """A result document: its file, and what it is called in messages."""

    file: str
    name: str


def find_results(root: Path) -> list[Found]:
    """Return every result.json of run folders and bundles, sorted by name; links and hidden folders are not followed.

    What lies below a folder that holds a document belongs to that document, and is not looked at.

    Raises:
        StorageError: a folder cannot be read, lies too deep, or there is too much.
        DataError: there is no result at all, or one is a link.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder", hint="Name a folder of runs or of submission bundles.")
    found: list[Found] = []
    waiting, names = [(str(root), 0)], 0
    while waiting:
        folder, depth = waiting.pop()
        if depth > MOST_DEEP:
            raise StorageError(f"{folder} lies more than {MOST_DEEP} folders below {root}")
        below, document = [], False
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    names += 1
                    if names > MOST_NAMES:
                        raise StorageError(
                            f"there are more than {MOST_NAMES:,} files in {root}: {folder} is one too many"
                        )
                    if entry.name == RESULT:
                        document = True
                        if not entry.is_file(follow_symlinks=False):
                            raise DataError(f"{entry.path} is no file of its own")
                    elif not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                        below.append((entry.path, depth + 1))
        except OSError as error:
            raise StorageError(f"cannot read {folder}: {error.strerror or error}") from error
        if document:
            file = os.path.join(folder, RESULT)  # noqa: PTH118 - a hundred thousand times
            found.append(Found(file, os.path.relpath(file, root)))
        else:
            waiting += below
    if not found:
        raise DataError(f"there is no {RESULT} below {root}", hint="Name a folder of runs or of submission bundles.")
    return sorted(found, key=lambda one: one.name)
