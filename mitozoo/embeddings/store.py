"""The embedding cache: few content-addressed files, each whole or absent, each checked before it is believed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from mitozoo import storage
from mitozoo.embeddings.lookup import RowKeys, Wanted
from mitozoo.errors import StorageError
from mitozoo.plugins.record import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Raised whenever a golden-pixel or golden-embedding test changes, so that nothing older is found again.
PIPELINE_VERSION = 1
IN_MEMORY_BYTES = 512_000_000  # larger matrices lie in a mapped file, not in anonymous memory
STATED = "mitozoo"  # one entry of metadata, since the order of several is left to chance
OVERHEAD_BYTES = 1_000_000  # headers, and what a file system rounds up to

T = TypeVar("T")


@dataclass(frozen=True)
class EmbeddingKey:
    """What an embedding depends on beside the pixels of its window.

    Attributes:
        model: the model's name, for people; not part of the key.
        fingerprint: of the model's spec.
        weights_sha256: of its weights.
        precision: as resolved: 'fp32', 'fp16' or 'bf16'.
        embed_dim: length of one embedding.
    """

    model: str
    fingerprint: str
    weights_sha256: str
    precision: str
    embed_dim: int

    def digest(self) -> str:
        """Return 64 hex digits that name the folder of these embeddings."""
        parts = {
            "fingerprint": self.fingerprint, "weights": self.weights_sha256, "precision": self.precision,
            "embed_dim": self.embed_dim, "pipeline": PIPELINE_VERSION,
        }  # fmt: skip
        return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Shard:
    """Some embedded cells: (m, 16) row keys, (m, d) embeddings, (m, 16) digests of the pixels that were read."""

    rows: RowKeys
    embeddings: npt.NDArray[np.float32]
    pixels: RowKeys


class EmbeddingStore:
    """All cached embeddings of one `EmbeddingKey`."""

    def __init__(self, key: EmbeddingKey, root: Path | None = None, *, dataset: str = "") -> None:
        """Take the key, another place than the cache, and whose cells will be written, which shards tell people."""
        self.key, self.dataset, self.is_the_cache = key, dataset, root is None
        self._digest = key.digest()
        self.folder = (root or storage.home() / "embeddings") / f"{key.model}-{self._digest[:16]}"
        self._damaged: set[Path] = set()  # ignored where they cannot be deleted

    @property
    def row_bytes(self) -> int:
        """What one embedding takes in a shard, with its row key and the digest of its pixels."""
        return 4 * self.key.embed_dim + 32

    def require_room(self, cells: int) -> None:
        """Raise `StorageError` unless so many further embeddings can be written."""
        require_room(self.folder, cells * self.row_bytes + OVERHEAD_BYTES, "the embedding cache")

    def write(self, shard: Shard) -> Path:
        """Keep a shard under a name made of its row keys, written whole or not at all; return its file."""
        from safetensors.numpy import save

        path = self.folder / f"{shard_name(shard.rows)}.safetensors"
        tensors: dict[str, npt.NDArray[Any]] = {
            "rows": shard.rows,
            "embeddings": shard.embeddings,
            "pixels": shard.pixels,
        }
        stated = json.dumps({"key": self._digest, "sha256": _checksum(shard), "dataset": self.dataset})
        with storage.write_whole(path) as unfinished:
            unfinished.write_bytes(save(tensors, metadata={STATED: stated}))
        self._damaged.discard(path)
        return path

    def missing(self, rows: RowKeys) -> npt.NDArray[np.bool_]:
        """Return (n,) which rows no shard claims to hold; only `load` checks that it truly does."""
        wanted = Wanted(rows)
        for _ in self._holders(wanted):
            pass
        return ~wanted.found[wanted.which]

    def holding(self, rows: RowKeys) -> list[Path]:
        """Return the shards that claim to hold any of these rows, each row counted once."""
        return list(self._holders(Wanted(rows)))

    def load(self, rows: RowKeys) -> tuple[npt.NDArray[np.float32], RowKeys]:
        """Return embeddings (n, d) and pixel digests (n, 16).

        Raises:
            KeyError: some rows are missing, or their shard was damaged and has been thrown away.
        """
        embeddings = self._allocate(len(rows))
        pixels = np.zeros((len(rows), 16), dtype=np.uint8)
        wanted = Wanted(rows)
        for path in self.paths():
            shard = self._read(path, partial(_sound_shard, wanted=wanted, embed_dim=self.key.embed_dim))
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
        return self._read(path, _row_keys)

    def is_sound(self, path: Path) -> bool:
        """Tell whether a file is a shard of this store, unchanged and of finite numbers; all of it is read."""
        shard = self._read(path, partial(_sound, rows=None, embed_dim=self.key.embed_dim))
        return shard is not None and shard.embeddings.dtype == np.float32 and bool(np.isfinite(shard.embeddings).all())

    def _holders(self, wanted: Wanted) -> Iterator[Path]:
        """Find the shards that hold wanted rows, and mark these as found."""
        for path in self.paths():
            held = self.read_rows(path)
            if held is not None and len(keys := wanted.in_shard(held)[1]):
                wanted.found[keys] = True
                yield path

    def paths(self) -> list[Path]:
        """Return the files of all shards that are not known to be damaged."""
        whole = (p for p in self.folder.glob("*.safetensors") if not p.name.startswith(storage.TEMPORARY_PREFIX))
        return sorted(path for path in whole if path not in self._damaged)

    def _read(self, path: Path, read: Callable[[Any], T]) -> T | None:
        """Apply `read` to an open shard; a file that is not what this store wrote is thrown away."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                if _stated(file).get("key") != self._digest:
                    raise _DamagedShardError
                return read(file)
        except FileNotFoundError:  # another process has just thrown it away
            return None
        except (SafetensorError, _DamagedShardError):
            self._damaged.add(path)
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


class _DamagedShardError(Exception):
    """A shard's content is not what was written under its name."""


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


def shard_name(rows: RowKeys) -> str:
    """Return the name of the shard of these rows: 32 hex digits."""
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()[:32]


def describe_shard(path: Path, *, read: bool = False) -> str | None:
    """Return the name of the dataset whose cells a shard holds, '' where it does not say; None for a damaged file.

    Args:
        path: the shard.
        read: compare its content with its checksum too.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            stated = _stated(file)
            if read:
                shard = Shard(_row_keys(file), file.get_tensor("embeddings"), file.get_tensor("pixels"))
                if stated.get("sha256") != _checksum(shard):
                    return None
            return stated.get("dataset", "")
    except (OSError, SafetensorError, _DamagedShardError):
        return None


def _row_keys(file: Any) -> RowKeys:
    rows = file.get_tensor("rows")
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != 16:
        raise _DamagedShardError
    return rows


def _sound_shard(file: Any, wanted: Wanted, embed_dim: int) -> Shard | None:
    """Return an open shard if it holds any wanted row, once its content is what was written."""
    rows = _row_keys(file)
    return _sound(file, rows, embed_dim) if len(wanted.in_shard(rows)[0]) else None


def _sound(file: Any, rows: RowKeys | None, embed_dim: int) -> Shard:
    rows = _row_keys(file) if rows is None else rows
    shard = Shard(rows, file.get_tensor("embeddings"), file.get_tensor("pixels"))
    shapes = (len(rows), embed_dim), (len(rows), 16)
    if (shard.embeddings.shape, shard.pixels.shape) != shapes or _stated(file).get("sha256") != _checksum(shard):
        raise _DamagedShardError
    return shard


def _stated(file: Any) -> dict[str, str]:
    try:
        return dict(json.loads(file.metadata()[STATED]))
    except (TypeError, KeyError, ValueError) as error:  # no metadata, or not ours
        raise _DamagedShardError from error


def _checksum(shard: Shard) -> str:
    digest = hashlib.sha256()
    for array in (shard.rows, shard.embeddings, shard.pixels):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
