"""The embedding cache: few content-addressed files, each whole or absent, each checked before it is believed."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from mitozoo import storage
from mitozoo.plugins.record import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Raised whenever a golden-pixel or golden-embedding test changes, so that nothing older is found again.
PIPELINE_VERSION = 1
IN_MEMORY_BYTES = 512_000_000  # larger matrices lie in a mapped file, not in anonymous memory

T = TypeVar("T")
RowKeys = npt.NDArray[np.uint8]  # (n, 16): which pixels of which file were seen, see `PatchPlan.row_keys`


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

    def __init__(self, key: EmbeddingKey, root: Path | None = None) -> None:
        self.key = key
        self._digest = key.digest()
        self.folder = (root or storage.home() / "embeddings") / f"{key.model}-{self._digest[:16]}"

    def write(self, shard: Shard) -> None:
        """Keep a shard under a name made of its row keys; written whole or not at all."""
        from safetensors.numpy import save_file

        name = hashlib.sha256(shard.rows.tobytes()).hexdigest()[:32]
        tensors: dict[str, npt.NDArray[Any]] = {
            "rows": shard.rows,
            "embeddings": shard.embeddings,
            "pixels": shard.pixels,
        }
        metadata: dict[str, str] = {"key": self._digest, "model": self.key.model, "sha256": _checksum(shard)}
        with storage.write_whole(self.folder / f"{name}.safetensors") as unfinished:
            save_file(tensors, unfinished, metadata=metadata)

    def missing(self, rows: RowKeys) -> npt.NDArray[np.bool_]:
        """Return (n,) which rows no shard claims to hold; only `load` checks that it truly does."""
        absent = np.ones(len(rows), dtype=bool)
        wanted = _as_items(rows)
        for path in self._paths():
            held = self._read(path, lambda file: file.get_tensor("rows"))
            if held is not None:
                absent &= ~np.isin(wanted, _as_items(held))
        return absent

    def load(self, rows: RowKeys) -> tuple[npt.NDArray[np.float32], RowKeys]:
        """Return embeddings (n, d) and pixel digests (n, 16).

        Raises:
            KeyError: some rows are missing, or their shard was damaged and has been thrown away.
        """
        embeddings = _allocate(len(rows), self.key.embed_dim)
        pixels = np.zeros((len(rows), 16), dtype=np.uint8)
        found = np.zeros(len(rows), dtype=bool)
        wanted = _as_items(rows)
        for path in self._paths():
            shard = self._read(path, partial(self._sound_shard, wanted=wanted[~found]))
            if shard is None:
                continue
            held = _as_items(shard.rows)
            order = np.argsort(held)
            place = order[np.searchsorted(held, wanted, sorter=order).clip(max=len(held) - 1)]
            here = (held[place] == wanted) & ~found
            embeddings[here], pixels[here] = shard.embeddings[place[here]], shard.pixels[place[here]]
            found |= here
        if not found.all():
            raise KeyError(f"{int((~found).sum())} rows are not in {self.folder}")
        return embeddings, pixels

    def _paths(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("*.safetensors") if not p.name.startswith(storage.TEMPORARY_PREFIX))

    def _sound_shard(self, file: Any, wanted: npt.NDArray[np.void]) -> Shard | None:
        rows = file.get_tensor("rows")
        if not np.isin(_as_items(rows), wanted).any():
            return None
        shard = Shard(rows, file.get_tensor("embeddings"), file.get_tensor("pixels"))
        metadata = file.metadata() or {}
        if metadata.get("key") != self._digest or metadata.get("sha256") != _checksum(shard):
            raise _DamagedShardError
        return shard

    def _read(self, path: Path, read: Callable[[Any], T]) -> T | None:
        """Apply `read` to an open shard; a file that is not what this store wrote is thrown away."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                return read(file)
        except FileNotFoundError:  # another process has just thrown it away
            return None
        except (SafetensorError, _DamagedShardError):
            with contextlib.suppress(OSError):  # a read-only cache keeps its damage, which is then ignored
                path.unlink()
            return None


class _DamagedShardError(Exception):
    """A shard's content is not what was written under its name."""


def _checksum(shard: Shard) -> str:
    digest = hashlib.sha256()
    for array in (shard.rows, shard.embeddings, shard.pixels):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _as_items(rows: RowKeys) -> npt.NDArray[np.void]:
    return np.ascontiguousarray(rows).view("V16").reshape(-1)


def _allocate(rows: int, columns: int) -> npt.NDArray[np.float32]:
    if rows * columns * 4 <= IN_MEMORY_BYTES:
        return np.empty((rows, columns), dtype=np.float32)
    with tempfile.TemporaryFile() as file:  # the mapping outlives the file's name
        return np.memmap(file, dtype=np.float32, mode="w+", shape=(rows, columns))
