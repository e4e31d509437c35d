"""Patches as the network will see them, with some tissue around, in few large files, for protocols that train."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mitozoo import leftovers, storage
from mitozoo.embeddings.holding import hold
from mitozoo.embeddings.reading import ROWS_A_TASK, read_window, reading_threads
from mitozoo.embeddings.store import OVERHEAD_BYTES, PIPELINE_VERSION, require_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mitozoo.data.patches import PatchPlan
    from mitozoo.plugins.preprocessing import Preprocessing

Rows = npt.NDArray[np.int64]
Records = npt.NDArray[np.uint8]  # (m, side, side, 3)

SHARD_BYTES = 256_000_000  # about what a kill loses, and large beside what opening a file costs
RECORDS, PIXELS, CHECKSUMS = "records.npy", "pixels.npy", "sha256"


@dataclass(frozen=True, eq=False)
class StoredPatches:
    """The stored patches of a plan, mapped read-only; any number of processes may map them at once.

    Attributes:
        records: of each shard, (cells, side, side, 3) uint8: the patch as the network sees it in the middle, and
            around it `margin` px of the tissue that lies there.
        shard, place: (n,) where each cell's record is.
        pixels: (n,) digest of each cell's window as it was read.
        margin: px on each side.
    """

    records: tuple[Records, ...]
    shard: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    pixels: list[str]
    margin: int

    def __len__(self) -> int:
        return len(self.shard)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """As of one array: (n, side, side, 3)."""
        side = self.records[0].shape[1]
        return len(self), side, side, 3

    def __getitem__(self, rows: Rows) -> Records:
        """Return the records of these rows, in this order."""
        taken = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        shards = self.shard[rows]
        for shard in np.unique(shards):
            here = shards == shard
            taken[here] = self.records[shard][self.place[rows[here]]]
        return taken


def store_patches(
    plan: PatchPlan,
    preprocessing: Preprocessing,
    *,
    margin_share: float = 0.0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_note: Callable[[str], None] = lambda text: None,
) -> StoredPatches:
    """Return all patches, reading those that are not stored yet, slide by slide in the order of tiles.

    They lie in the cache under names made of what they show, so that later folds, seeds and calls read no slide. A
    shard is there whole or not at all: what was killed goes on with the shard that it was at, to the same bytes.

    Args:
        plan: the windows.
        preprocessing: of the encoder.
        margin_share: width of the margin, a share of the network's input side; only around a window of a slide that
            is resampled whole. Released patches and the authors' crops have no margin.
        on_progress: called with (done, total) cells.
        on_note: told what will be taken on the disk.

    Raises:
        StorageError: there is no room for them, said before work starts.
        SlideError: a slide became unreadable on the way.
    """
    from filelock import FileLock

    margin = _margin(plan, preprocessing, margin_share)
    side = preprocessing.size + 2 * margin
    folder, paths, shards = _laid_out(plan, preprocessing, margin)
    hold(folder)
    if not all(map(_is_sound, paths)):
        require_room(folder, 0, "the patch store")
        with FileLock(folder / ".lock"):  # whoever waited finds them there
            leftovers.remove_from(folder)
            absent = [(path, rows) for path, rows in zip(paths, shards, strict=True) if not _is_sound(path)]
            total, done = sum(len(rows) for _, rows in absent), 0
            if total:
                needed = total * 3 * side * side + len(absent) * OVERHEAD_BYTES
                require_room(folder, needed, "the patch store")
                size = f"{needed / 1e9:.1f} GB" if needed >= 1e9 else f"{needed / 1e6:.0f} MB"
                on_note(f"the patch store will take {size} in {folder}")
            for path, rows in absent:
                shutil.rmtree(path, ignore_errors=True)  # what was damaged
                with storage.write_folder_whole(path) as unfinished:
                    for count in _filled(unfinished, _key(path), plan, preprocessing, rows, margin):
                        on_progress(done + count, total)
                done += len(rows)
    return _mapped(paths, shards, margin)


def absent_patches(plan: PatchPlan, preprocessing: Preprocessing, *, margin_share: float = 0.0) -> tuple[str, int, int]:
    """Return a name for all that `store_patches` would store, how many of its cells are absent, and their bytes."""
    margin = _margin(plan, preprocessing, margin_share)
    folder, paths, shards = _laid_out(plan, preprocessing, margin)
    name = hashlib.sha256(" ".join([folder.name, *(path.name for path in paths)]).encode()).hexdigest()[:32]
    absent = sum(len(rows) for path, rows in zip(paths, shards, strict=True) if not _is_sound(path))
    return name, absent, absent * 3 * (preprocessing.size + 2 * margin) ** 2


def _margin(plan: PatchPlan, preprocessing: Preprocessing, share: float) -> int:
    return math.ceil(share * preprocessing.size) if _has_surroundings(plan) else 0


def _laid_out(plan: PatchPlan, preprocessing: Preprocessing, margin: int) -> tuple[Path, list[Path], list[Rows]]:
    """Return the folder of a plan's patches, where in it each shard lies or will lie, and the shard's rows."""
    keys, side = plan.row_keys(), preprocessing.size + 2 * margin
    shards = _shards(plan, max(1, SHARD_BYTES // (3 * side * side)))
    how = f"{preprocessing.size} {margin} {preprocessing.interpolation} {preprocessing.antialias} {PIPELINE_VERSION}"
    name = f"{plan.cells.spec.name}-{hashlib.sha256(how.encode()).hexdigest()[:16]}"
    folder = storage.home() / "patches" / name
    return folder, [folder / hashlib.sha256(keys[rows].tobytes()).hexdigest()[:32] for rows in shards], shards


def _has_surroundings(plan: PatchPlan) -> bool:
    return plan.cells.spec.patch_px is None and not plan.geometry.authors


def _shards(plan: PatchPlan, cells: int) -> list[Rows]:
    """Return rows by shard, in reading order."""
    order = plan.reading_order()
    return [order[start : start + cells] for start in range(0, len(order), cells)]


def _mapped(paths: list[Path], shards: list[Rows], margin: int) -> StoredPatches:
    count = sum(map(len, shards))
    shard, place, pixels = (np.empty(count, dtype=kind) for kind in (np.int64, np.int64, object))
    for number, (path, rows) in enumerate(zip(paths, shards, strict=True)):
        shard[rows], place[rows] = number, np.arange(len(rows))
        pixels[rows] = [row.tobytes().hex() for row in np.load(path / PIXELS, allow_pickle=False)]
    records = tuple(np.load(path / RECORDS, mmap_mode="r", allow_pickle=False) for path in paths)
    return StoredPatches(records, shard, place, pixels.tolist(), margin)


def _is_sound(path: Path) -> bool:
    """Tell whether a shard holds, byte for byte, what was written; it is read through once for as long as it stays."""
    files = [path / RECORDS, path / PIXELS]
    if not (path / CHECKSUMS).is_file() or not all(file.is_file() for file in files):
        return False
    try:
        return (path / CHECKSUMS).read_text(encoding="utf-8").splitlines() == [*storage.content_ids(files), _key(path)]
    except (OSError, ValueError):
        return False


def is_unchanged(path: Path) -> bool:
    """Tell whether a shard's folder holds, byte for byte, what was written; everything is read."""
    try:
        stated = (path / CHECKSUMS).read_text(encoding="utf-8").splitlines()
        return stated == [*map(_sha256, (path / RECORDS, path / PIXELS)), _key(path)]
    except (OSError, ValueError):
        return False


def _key(path: Path) -> str:
    """Return what a shard is of, which it says itself: one that bears another's name is not believed."""
    return f"{path.parent.name}/{path.name}"


def _filled(
    folder: Path, key: str, plan: PatchPlan, preprocessing: Preprocessing, rows: Rows, margin: int
) -> Iterator[int]:
    """Fill a shard's folder, telling now and then how many cells are done."""
    from mitozoo.models.preprocessing import as_authors_see, resample

    size = preprocessing.size
    side, middle = size + 2 * margin, slice(margin, margin + size)
    around, see = plan.widened(margin / size), as_authors_see if plan.geometry.authors else resample
    wide = replace(preprocessing, size=side, resize="none", resize_to=side)
    records = np.lib.format.open_memmap(folder / RECORDS, mode="w+", dtype=np.uint8, shape=(len(rows), side, side, 3))
    _reserve(folder / RECORDS)
    pixels = np.empty((len(rows), 16), dtype=np.uint8)

    def read(places: range) -> int:
        for place in places:
            row = int(rows[place])
            if margin:
                records[place] = resample(read_window(around, row)[0], wide)
            window, pixels[place] = read_window(plan, row)
            records[place, middle, middle] = see(window, preprocessing)  # to the byte what a probe is shown
        return places.stop

    tasks = [range(at, min(at + ROWS_A_TASK, len(rows))) for at in range(0, len(rows), ROWS_A_TASK)]
    readers = ThreadPoolExecutor(reading_threads())
    try:
        yield from readers.map(read, tasks)
    finally:
        readers.shutdown(cancel_futures=True)
    records.flush()
    np.save(folder / PIXELS, pixels)
    stated = [*map(_sha256, (folder / RECORDS, folder / PIXELS)), key]
    (folder / CHECKSUMS).write_text("\n".join(stated), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reserve(path: Path) -> None:
    """Take the file's room on the disk now: a mapped file that finds none later ends the process without a word."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
