"""Patches as the network will see them, mapped from one file, for protocols that train the network."""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mitozoo import storage
from mitozoo.embeddings.reading import read_ahead
from mitozoo.embeddings.store import OVERHEAD_BYTES, PIPELINE_VERSION, require_room

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mitozoo.data.patches import PatchPlan
    from mitozoo.plugins.specs import Preprocessing

READ_TOGETHER = 64
PATCHES, PIXELS, CHECKSUMS = "patches.npy", "pixels.npy", "sha256"


def input_patches(
    plan: PatchPlan, preprocessing: Preprocessing, on_progress: Callable[[int, int], None]
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Return all patches (n, size, size, 3), mapped read-only, and each one's pixel digest (n,).

    They are kept in the cache under a name made of what they show, so that later folds, seeds and calls read no slide.
    """
    size = preprocessing.size
    keys = plan.row_keys()
    how = f"{size} {preprocessing.interpolation} {preprocessing.antialias} {PIPELINE_VERSION}"
    name = hashlib.sha256(keys.tobytes() + how.encode()).hexdigest()[:32]
    folder = storage.home() / "patches" / f"{plan.cells.spec.name}-{name}"
    if not _is_sound(folder):
        shutil.rmtree(folder, ignore_errors=True)
        require_room(folder.parent, len(plan) * size * size * 3 + OVERHEAD_BYTES, "the patch cache")
        with storage.write_folder_whole(folder) as unfinished:
            _fill(unfinished, plan, preprocessing, on_progress)
    pixels = np.load(folder / PIXELS, allow_pickle=False)
    return np.load(folder / PATCHES, mmap_mode="r", allow_pickle=False), [row.tobytes().hex() for row in pixels]


def _is_sound(folder: Path) -> bool:
    """Tell whether a folder holds, byte for byte, what was written to it: reading it once is cheap beside training."""
    try:
        return (folder / CHECKSUMS).read_text(encoding="ascii") == _checksums(folder)
    except (OSError, ValueError):
        return False


def _checksums(folder: Path) -> str:
    digests = []
    for name in (PATCHES, PIXELS):
        with (folder / name).open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return "\n".join(digests)


def _fill(folder: Path, plan: PatchPlan, preprocessing: Preprocessing, on_progress: Callable[[int, int], None]) -> None:
    shape = (len(plan), preprocessing.size, preprocessing.size, 3)
    patches = np.lib.format.open_memmap(folder / PATCHES, mode="w+", dtype=np.uint8, shape=shape)
    _reserve(folder / PATCHES)
    pixels = np.empty((len(plan), 16), dtype=np.uint8)
    order = plan.reading_order()
    batches = [order[start : start + READ_TOGETHER] for start in range(0, len(order), READ_TOGETHER)]
    done = 0
    for rows, (read, digests) in zip(batches, read_ahead(plan, preprocessing, batches), strict=True):
        patches[rows], pixels[rows] = read, digests
        done += len(rows)
        on_progress(done, len(plan))
    patches.flush()
    np.save(folder / PIXELS, pixels)
    (folder / CHECKSUMS).write_text(_checksums(folder), encoding="ascii")


def _reserve(path: Path) -> None:
    """Take the file's room on the disk now: a mapped file that finds none later ends the process without a word."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
