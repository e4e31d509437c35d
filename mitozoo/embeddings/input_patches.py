"""Patches as the network will see them, mapped from one file, for protocols that train the network."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mitozoo import storage
from mitozoo.embeddings.reading import read_ahead
from mitozoo.embeddings.store import PIPELINE_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mitozoo.data.patches import PatchPlan
    from mitozoo.plugins.specs import Preprocessing

READ_TOGETHER = 64


def input_patches(
    plan: PatchPlan, preprocessing: Preprocessing, on_progress: Callable[[int, int], None]
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Return all patches (n, size, size, 3), mapped read-only, and each one's pixel digest (n,).

    They are kept in the cache under a name made of what they show, so that later folds, seeds and calls read nothing.
    """
    size = preprocessing.size
    keys = plan.row_keys()
    how = f"{size} {preprocessing.interpolation} {preprocessing.antialias} {PIPELINE_VERSION}"
    name = hashlib.sha256(keys.tobytes() + how.encode()).hexdigest()[:32]
    folder = storage.home() / "patches" / f"{plan.cells.spec.name}-{name}"
    if not folder.is_dir():
        storage.require_free_space(folder, len(plan) * size * size * 3 + 1_000_000, "the patch cache")
        with storage.write_folder_whole(folder) as unfinished:
            _fill(unfinished, plan, preprocessing, on_progress)
    pixels = np.load(folder / "pixels.npy", allow_pickle=False)
    return np.load(folder / "patches.npy", mmap_mode="r", allow_pickle=False), [row.tobytes().hex() for row in pixels]


def _fill(folder: Path, plan: PatchPlan, preprocessing: Preprocessing, on_progress: Callable[[int, int], None]) -> None:
    shape = (len(plan), preprocessing.size, preprocessing.size, 3)
    patches = np.lib.format.open_memmap(folder / "patches.npy", mode="w+", dtype=np.uint8, shape=shape)
    pixels = np.empty((len(plan), 16), dtype=np.uint8)
    order = plan.reading_order()
    batches = [order[start : start + READ_TOGETHER] for start in range(0, len(order), READ_TOGETHER)]
    done = 0
    for rows, (read, digests) in zip(batches, read_ahead(plan, preprocessing, batches), strict=True):
        patches[rows], pixels[rows] = read, digests
        done += len(rows)
        on_progress(done, len(plan))
    patches.flush()
    np.save(folder / "pixels.npy", pixels)
