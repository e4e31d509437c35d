"""What the caches hold: listed with size and last use, pruned but for what a live process holds, and verified."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mitozoo import leftovers, storage
from mitozoo.embeddings.holding import is_held, last_used
from mitozoo.embeddings.patch_store import is_unchanged
from mitozoo.embeddings.shard_files import describe_shard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Kind = Literal["embeddings", "patches", "dataset", "environment"]
ROOMS: dict[Kind, str] = {
    "embeddings": "embeddings", "patches": "patches", "dataset": "datasets", "environment": "environments",
}  # fmt: skip
#: What can be computed again from what is here; the others would have to be fetched again.
COMPUTED: tuple[Kind, ...] = ("embeddings", "patches")
SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class CacheEntry:
    """One folder of a cache.

    Attributes:
        kind: 'embeddings' of a model, 'patches' of a dataset for training, a 'dataset' that was fetched or made, or an
            'environment' of isolated models.
        name: of the model or dataset, as its folder shows it; of an environment, the beginning of its key.
        datasets: whose cells it holds.
        path: the folder.
        bytes: on the disk.
        last_used: seconds since the epoch.
        held: whether a live process on this machine uses it.
    """

    kind: Kind
    name: str
    datasets: tuple[str, ...]
    path: Path
    bytes: int
    last_used: float
    held: bool


def list_caches(home: Path | None = None) -> list[CacheEntry]:
    """Return every cache folder, the one used last first."""
    home = home or storage.home()
    entries: list[CacheEntry] = []
    for kind, room in ROOMS.items():
        folders = (path for path in (home / room).glob("*") if path.is_dir() and not path.name.startswith("."))
        entries += [_entry(kind, path) for path in folders]
    return sorted(entries, key=lambda entry: (-entry.last_used, entry.name))


def choose(
    entries: Sequence[CacheEntry],
    *,
    days: float | None = None,
    model: str | None = None,
    dataset: str | None = None,
    to_bytes: int | None = None,
) -> list[CacheEntry]:
    """Return the embeddings and patches that a prune would remove; datasets, environments, and what is held, never.

    Args:
        entries: what is there.
        days: only those not used for so many days.
        model: only those of this model.
        dataset: only those that hold cells of this dataset alone.
        to_bytes: only as many, those not used for longest first, as bring all caches together down to this size.
    """
    free = [entry for entry in entries if entry.kind in COMPUTED and not entry.held]
    if days is not None:
        free = [entry for entry in free if time.time() - entry.last_used > days * SECONDS_A_DAY]
    if model is not None:
        free = [entry for entry in free if entry.kind == "embeddings" and entry.name.rpartition("-")[0] == model]
    if dataset is not None:
        free = [entry for entry in free if entry.datasets == (dataset,)]
    if to_bytes is None:
        return free
    left, chosen = sum(entry.bytes for entry in entries if entry.kind in COMPUTED), []
    for entry in sorted(free, key=lambda entry: entry.last_used):
        if left <= to_bytes:
            break
        chosen.append(entry)
        left -= entry.bytes
    return chosen


def prune(chosen: Sequence[CacheEntry], home: Path | None = None) -> int:
    """Remove cache folders, and what killed processes left behind; return the bytes freed."""
    freed = 0
    for entry in chosen:
        if not is_held(entry.path):  # taken since it was listed
            doomed = entry.path.with_name(f"{leftovers.PREFIX}{entry.path.name}")
            entry.path.rename(doomed)  # gone at once for whoever looks, even if the removal is interrupted
            shutil.rmtree(doomed, ignore_errors=True)
            freed += entry.bytes
    for unfinished in list((home or storage.home()).rglob(f"{leftovers.PREFIX}*")):
        with contextlib.suppress(FileNotFoundError):  # finished, or removed by another process
            size = _bytes_below(unfinished) if unfinished.is_dir() else unfinished.stat().st_size
            freed += size if leftovers.remove(unfinished) else 0
    return freed


def damaged(entries: Sequence[CacheEntry]) -> list[Path]:
    """Read all embeddings and patches and return the shards whose content is not what was written."""
    found = []
    for entry in entries:
        if entry.kind == "embeddings":
            found += [path for path in _shards(entry.path) if describe_shard(path, read=True) is None]
        elif entry.kind == "patches":
            found += [path for path in sorted(entry.path.iterdir()) if path.is_dir() and not is_unchanged(path)]
    return found


def _entry(kind: Kind, path: Path) -> CacheEntry:
    datasets = {path.name.rpartition("-")[0]} if kind == "patches" else set()
    if kind == "embeddings":
        datasets = {told for shard in _shards(path) if (told := describe_shard(shard))}
    return CacheEntry(
        kind=kind,
        name=path.name,
        datasets=tuple(sorted(datasets)),
        path=path,
        bytes=_bytes_below(path),
        last_used=last_used(path),
        held=is_held(path),
    )


def _shards(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.safetensors") if not path.name.startswith("."))


def _bytes_below(folder: Path) -> int:
    """Return the disk space of a folder; a file that goes away meanwhile counts as nothing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118 - millions of files
            except FileNotFoundError:
                continue
    return total
