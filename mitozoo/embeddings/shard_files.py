"""One file of embedded cells: named by its rows, and believed only once its content is what was written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from mitozoo import storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mitozoo.embeddings.lookup import RowKeys, Wanted

SUFFIX = ".safetensors"
STATED = "mitozoo"  # one entry of metadata, since the order of several is left to chance

T = TypeVar("T")


class DamagedShardError(Exception):
    """A shard's content is not what was written under its name."""


@dataclass(frozen=True)
class Shard:
    """Some embedded cells: (m, 16) row keys, (m, d) embeddings, (m, 16) digests of the pixels that were read."""

    rows: RowKeys
    embeddings: npt.NDArray[np.float32]
    pixels: RowKeys

    def checksum(self) -> str:
        """Return 64 hex digits over all three arrays."""
        digest = hashlib.sha256()
        for array in (self.rows, self.embeddings, self.pixels):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def write(self, path: Path, key: str, dataset: str) -> None:
        """Write it whole or not at all, with the digest of its key and the name of its cells' dataset."""
        from safetensors.numpy import save

        tensors: dict[str, npt.NDArray[Any]] = {
            "rows": self.rows,
            "embeddings": self.embeddings,
            "pixels": self.pixels,
        }
        stated = json.dumps({"key": key, "sha256": self.checksum(), "dataset": dataset})
        with storage.write_whole(path) as unfinished:
            unfinished.write_bytes(save(tensors, metadata={STATED: stated}))


def shard_name(rows: RowKeys) -> str:
    """Return the name of the shard of these rows: 32 hex digits."""
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()[:32]


def read_shard(path: Path, key: str, read: Callable[[Any], T]) -> T:
    """Return what `read` makes of an open shard.

    Raises:
        DamagedShardError: it is no shard, or of another key, or `read` says so.
        OSError: the file cannot be opened.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            if _stated(file).get("key") != key:
                raise DamagedShardError
            return read(file)
    except SafetensorError as error:
        raise DamagedShardError from error


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
                shard = Shard(row_keys(file), file.get_tensor("embeddings"), file.get_tensor("pixels"))
                if stated.get("sha256") != shard.checksum():
                    return None
            return stated.get("dataset", "")
    except (OSError, SafetensorError, DamagedShardError):
        return None


def row_keys(file: Any) -> RowKeys:
    """Return the (m, 16) row keys that an open shard claims to hold."""
    rows: RowKeys = file.get_tensor("rows")
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != 16:
        raise DamagedShardError
    return rows


def sound_shard_with(wanted: Wanted, file: Any, embed_dim: int) -> Shard | None:
    """Return an open shard if it holds any wanted row, once its content is what was written."""
    rows = row_keys(file)
    return sound_shard(file, embed_dim, rows) if len(wanted.in_shard(rows)[0]) else None


def sound_shard(file: Any, embed_dim: int, rows: RowKeys | None = None) -> Shard:
    """Return an open shard, of which `rows` were read already, once its content is what was written."""
    rows = row_keys(file) if rows is None else rows
    shard = Shard(rows, file.get_tensor("embeddings"), file.get_tensor("pixels"))
    shapes = (len(rows), embed_dim), (len(rows), 16)
    if (shard.embeddings.shape, shard.pixels.shape) != shapes or _stated(file).get("sha256") != shard.checksum():
        raise DamagedShardError
    return shard


def _stated(file: Any) -> dict[str, str]:
    try:
        return dict(json.loads(file.metadata()[STATED]))
    except (TypeError, KeyError, ValueError) as error:  # no metadata, or not ours
        raise DamagedShardError from error
