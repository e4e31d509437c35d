"""What lies in a submission: names, kinds and sizes of its files, all looked at before any of them is read."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mitozoo.errors import DataError, StorageError
from mitozoo.results.image_controls import CONTROLS
from mitozoo.results.run_folder import COMPUTE, RESULT
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SUBMISSION = "submission.json"
MEGABYTE = 1_000_000
#: The files of a run, and the most bytes that each may have. Git hosts refuse files of 100 MB.
OF_A_RUN = {RESULT: 32 * MEGABYTE, **dict.fromkeys((CELLS, SPLITS, PREDICTIONS), 99 * MEGABYTE)}
OF_A_BUNDLE = {SUBMISSION: 4 * MEGABYTE, COMPUTE: 4 * MEGABYTE, **OF_A_RUN}
MOST_BYTES = 250 * MEGABYTE
MOST_CONTROLS = 4
LONGEST_NAME = 200


@dataclass(frozen=True)
class Bundle:
    """A folder that holds the files of a submission and nothing else.

    Attributes:
        folder: where it lies.
        controls: names of the folders of its image controls' runs, sorted.
        files: every file but submission.json, relative to the folder with '/', sorted.
    """

    folder: Path
    controls: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """The folder's name, by which messages call the submission."""
        return self.folder.name or str(self.folder)


def open_bundle(folder: Path) -> Bundle:
    """Look at a submission's folder without reading any file; stop at the first thing that does not belong there.

    Raises:
        DataError: there is no such folder, or something in it that no submission has: another name, a link, a folder,
            a device, too many bytes.
        StorageError: a file is missing.
    """
    if folder.is_symlink():
        raise DataError(f"{folder} is a link; a submission is a folder")
    if not folder.is_dir():
        raise DataError(
            f"there is no submission in {folder}", hint="Make one: mitozoo submission create RUN -o bundle/"
        )
    sizes = _sizes(folder, OF_A_BUNDLE, folder.name)
    controls = _control_names(folder / CONTROLS) if (folder / CONTROLS).is_dir() else ()
    for name in controls:
        inside = f"{CONTROLS}/{name}"
        sizes |= {f"{inside}/{file}": size for file, size in _sizes(folder / inside, OF_A_RUN, inside).items()}
    if (total := sum(sizes.values())) > MOST_BYTES:
        raise DataError(f"{folder.name} holds {total:,} bytes; a submission has at most {MOST_BYTES:,}")
    return Bundle(folder, controls, tuple(sorted(set(sizes) - {SUBMISSION})))


def _sizes(folder: Path, limits: Mapping[str, int], where: str) -> dict[str, int]:
    """Return the size of each file of a folder that must hold exactly these."""
    sizes: dict[str, int] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == CONTROLS and limits is OF_A_BUNDLE and entry.is_dir(follow_symlinks=False):
                continue
            if entry.name not in limits:
                raise DataError(f"{where} holds {entry.name!a}, which no submission has")
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                kind = "a link" if entry.is_symlink() else "a folder" if entry.is_dir() else "no plain file"
                raise DataError(f"{where}/{entry.name} is {kind}")
            if status.st_size > limits[entry.name]:
                raise DataError(
                    f"{where}/{entry.name} has {status.st_size:,} bytes; it may have at most {limits[entry.name]:,}"
                )
            sizes[entry.name] = status.st_size
    if absent := sorted(set(limits) - set(sizes)):
        raise StorageError(f"{where}/{absent[0]} is missing")
    return sizes


def _control_names(folder: Path) -> tuple[str, ...]:
    names: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                raise DataError(f"{CONTROLS} holds {entry.name!a}, which is no folder of a run")
            if not entry.name.isprintable() or entry.name.startswith(".") or len(entry.name) > LONGEST_NAME:
                raise DataError(f"{CONTROLS} holds {entry.name!a}, which is no name of a run")
            names.append(entry.name)
            if len(names) > MOST_CONTROLS:
                raise DataError(f"{CONTROLS} holds more than {MOST_CONTROLS} runs")
    return tuple(sorted(names))
