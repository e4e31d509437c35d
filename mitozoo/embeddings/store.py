"""The embedding cache: few content-addressed files, each whole or absent, each checked before it is believed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from mitozoo import leftovers, storage
from mitozoo.embeddings.lookup import HeldRows, RowKeys, Wanted
from mitozoo.embeddings.shard_files import (
    SUFFIX,
    DamagedShardError,
    Shard,
    read_shard,
    row_keys,
    shard_name,
    sound_shard,
    sound_shard_with,
)
from mitozoo.errors import StorageError
from mitozoo.plugins.record import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable

    Signature = tuple[int, int, int]

#: Raised whenever a golden-pixel or golden-embedding test changes, so that nothing older is found again.
PIPELINE_VERSION = 1
BF16_VERSION = 2  # raised whenever bf16 alone comes to be computed otherwise
IN_MEMORY_BYTES = 512_000_000  # larger matrices lie in a mapped file, not in anonymous memory
OVERHEAD_BYTES = 1_000_000  # headers, and what a file system rounds up to

T = TypeVar("T")


@dataclass(frozen=True)
class EmbeddingKey:
    """What an embedding depends on beside the pixels of its window.

    Attributes:
        model: the model's name, for people; not part of the key.
        fingerprint: of the model's spec.
        weights_sha256: of its weights.
        precision: as resolved: 'fp32', 'fp16' or 'bf16', with '+compiled' behind where torch.compile made the network.
        embed_dim: length of one embedding.
        deterministic: whether only operations were allowed that give the same bytes each time.
    """

    model: str
    fingerprint: str
    weights_sha256: str
    precision: str
    embed_dim: int
    deterministic: bool = False

    def digest(self) -> str:
        """Return 64 hex digits that name the folder of these embeddings."""
        parts = {
            "fingerprint": self.fingerprint, "weights": self.weights_sha256, "precision": self.precision,
            "embed_dim": self.embed_dim, "pipeline": PIPELINE_VERSION,
            **({"bf16": BF16_VERSION} if self.precision.startswith("bf16") else {}),
            **({"deterministic": True} if self.deterministic else {}),
        }  # fmt: skip
        return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


class EmbeddingStore:
    """All cached embeddings of one `EmbeddingKey`."""

    def __init__(self, key: EmbeddingKey, root: Path | None = None, *, dataset: str = "") -> None:
        """Take the key, another place than the cache, and whose cells will be written, which shards tell people."""
        self.key, self.dataset, self.is_the_cache = key, dataset, root is None
        self._digest = key.digest()
        self.folder = (root or storage.home() / "embeddings") / f"{key.model}-{self._digest[:16]}"
        self._damaged: set[str] = set()  # names of files that are ignored where they cannot be deleted
        self._looked_at: dict[str, Signature] = {}  # files whose row keys stand in `_held`
        self._held = HeldRows()

    @property
    def row_bytes(self) -> int:
        """What one embedding takes in a shard, with its row key and the digest of its pixels."""
        return 4 * self.key.embed_dim + 32

    def require_room(self, cells: int) -> None:
        """Raise `StorageError` unless so many further embeddings can be written."""
        require_room(self.folder, cells * self.row_bytes + OVERHEAD_BYTES, "the embedding cache")

    def write(self, shard: Shard) -> Path:
        """Keep a shard under a name made of its row keys, written whole or not at all; return its file."""
        path = self.folder / f"{shard_name(shard.rows)}{SUFFIX}"
        shard.write(path, self._digest, self.dataset)
        self._damaged.discard(path.name)
        return path

    def missing(self, rows: RowKeys) -> npt.NDArray[np.bool_]:
        """Return (n,) which rows no shard claims to hold; only `load` checks that it truly does.

        A file is opened when it is first seen, and again only where it has changed: whoever asks for one shard's rows
        after another's pays for what is new.
        """
        self._look()
        return ~self._held.holds(rows)

    def holding(self, rows: RowKeys) -> list[Path]:
        """Return the shards that claim to hold any of these rows, each row counted once."""
        if self.missing(rows).all():
            return []
        wanted, holders = Wanted(rows), []
        for path in self.paths():
            held = self.read_rows(path)
            if held is not None and len(keys := wanted.in_shard(held)[1]):
                wanted.found[keys] = True
                holders.append(path)
        return holders

    def load(self, rows: RowKeys) -> tuple[npt.NDArray[np.float32], RowKeys]:
        """Return embeddings (n, d) and pixel digests (n, 16).

        Raises:
            KeyError: some rows are missing, or their shard was damaged and has been thrown away.
        """
        embeddings = self._allocate(len(rows))
        pixels = np.zeros((len(rows), 16), dtype=np.uint8)
        wanted = Wanted(rows)
        for path in self.paths():
            shard = self._read(path, lambda file: sound_shard_with(wanted, file, self.key.embed_dim))
            if shard is None:
                continue
            places, keys = wanted.in_shard(shard.rows)
            into = wanted.first[keys]
            embeddings[into], pixels[into] = shard.embeddings[places], shard.pixels[places]
            wanted.found[keys] = True
        if not wanted.found.all():
            raise KeyError(f"{int((~wanted.found[wanted.which]).sum())} rows are not in {self.folder}")
        again = np.flatnonzero(wanted.first[wanted.which] != np.arange(len(rows)))  # cells that share a window
        same = wanted.first[wanted.which[again]]
        embeddings[again], pixels[again] = embeddings[same], pixels[same]
        return embeddings, pixels

    def read_rows(self, path: Path) -> RowKeys | None:
        """Return the row keys that a shard claims to hold; None for a file that is none of this store."""
        return self._read(path, row_keys)

    def is_sound(self, path: Path) -> bool:
        """Tell whether a file is a shard of this store, unchanged and of finite numbers; all of it is read."""
        shard = self._read(path, lambda file: sound_shard(file, self.key.embed_dim))
        return shard is not None and shard.embeddings.dtype == np.float32 and bool(np.isfinite(shard.embeddings).all())

    def paths(self) -> list[Path]:
        """Return the files of all shards that are not known to be damaged."""
        return [self.folder / name for name in sorted(self._files())]

    def _files(self) -> dict[str, Signature]:
        """Return name and signature of these files; whatever changes one changes its signature."""
        found = {}
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:  # `require_room` tells what is wrong
            for entry in entries:
                whole = entry.name.endswith(SUFFIX) and not entry.name.startswith(leftovers.PREFIX)
                if whole and entry.name not in self._damaged:
                    with contextlib.suppress(FileNotFoundError):  # another process has just thrown it away
                        told = entry.stat()
                        found[entry.name] = (told.st_mtime_ns, told.st_size, told.st_ino)
        return found

    def _look(self) -> None:
        """Know the row keys of all shards that are there."""
        files = self._files()
        if self._looked_at.items() - files.items():  # one was changed or went away
            self._looked_at, self._held = {}, HeldRows()
        for name in sorted(files.keys() - self._looked_at.keys()):
            if (rows := self.read_rows(self.folder / name)) is not None:
                self._held.add(rows)
                self._looked_at[name] = files[name]

    def _read(self, path: Path, read: Callable[[Any], T]) -> T | None:
        """Apply `read` to an open shard; a file that is not what this store wrote is thrown away."""
        try:
            return read_shard(path, self._digest, read)
        except FileNotFoundError:  # another process has just thrown it away
            return None
        except DamagedShardError:
            self._damaged.add(path.name)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror or error}") from error

    def _allocate(self, rows: int) -> npt.NDArray[np.float32]:
        shape, needed = (rows, self.key.embed_dim), rows * self.key.embed_dim * 4
        if needed <= IN_MEMORY_BYTES:
            return np.empty(shape, dtype=np.float32)
        folder = self.folder if os.access(self.folder, os.W_OK) else Path(tempfile.gettempdir())
        storage.require_free_space(folder, needed, "a matrix of embeddings")
        with tempfile.TemporaryFile(dir=folder) as file:  # the mapping outlives the file's name
            return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)


def require_room(folder: Path, needed: int, purpose: str) -> None:
    """Raise `StorageError` before work starts unless `needed` bytes can be written in a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(
            f"{purpose} cannot be written in {folder}: {error.strerror or error}",
            hint="Point MITOZOO_HOME (caches) or --out (runs) to a folder that you can write to.",
        ) from error
    storage.require_free_space(folder, needed, purpose)
