"""Embeddings as a file of one's own: cell_id, vector and provenance, in safetensors or Parquet."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mitozoo import storage
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIXES = (".safetensors", ".parquet")
#: Of a Parquet file: what it may claim to hold for each byte of its size, and in any case.
BYTES_OF_A_VALUE, RATIO, ALWAYS_BYTES = 8, 200, 200_000_000


@dataclass(frozen=True)
class EmbeddingTable:
    """Embeddings (n, d) of named cells, and what their file says of where they come from."""

    cell_ids: Sequence[str]
    vectors: npt.NDArray[np.float32]
    provenance: dict[str, Any]

    def sha256(self) -> str:
        """Return 64 hex digits over cells and vectors, whatever their order and the format of their file."""
        digest = hashlib.sha256()
        for row in sorted(range(len(self.cell_ids)), key=self.cell_ids.__getitem__):
            digest.update(json.dumps(self.cell_ids[row]).encode() + self.vectors[row].tobytes())
        return digest.hexdigest()

    def of(self, cell_ids: Sequence[str], name: str) -> npt.NDArray[np.float32]:
        """Return the vectors of these cells, in their order; where that is the file's, they are not copied.

        Raises:
            DataError: some have no vector, or have two; cells that were not asked for are no fault.
        """
        if list(cell_ids) == list(self.cell_ids) and len(set(cell_ids)) == len(cell_ids):
            return self.vectors
        place = {cell_id: row for row, cell_id in enumerate(self.cell_ids)}
        if len(place) < len(self.cell_ids):
            raise DataError(f"{name} holds {len(self.cell_ids) - len(place)} cells twice; each cell needs one vector")
        missing = [cell_id for cell_id in cell_ids if cell_id not in place]
        if missing:
            raise DataError(
                f"{name} has no vector for {len(missing):,} of {len(cell_ids):,} cells, such as {missing[0]}",
                hint="Embed exactly the dataset's cells; mitozoo embed --limit 1 shows how a file must look.",
            )
        return self.vectors[[place[cell_id] for cell_id in cell_ids]]


def write_embeddings(path: Path, table: EmbeddingTable) -> None:
    """Write a table in the format of the path's suffix, whole or not at all."""
    require_suffix(path)
    provenance = json.dumps(table.provenance, sort_keys=True)
    with storage.write_whole(path) as unfinished:
        if path.suffix == ".safetensors":
            from safetensors.numpy import save

            metadata = {"cell_ids": json.dumps(list(table.cell_ids)), "provenance": provenance}
            unfinished.write_bytes(save({"vectors": np.ascontiguousarray(table.vectors)}, metadata=metadata))
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            flat = pa.array(table.vectors.reshape(-1))
            vectors = pa.FixedSizeListArray.from_arrays(flat, table.vectors.shape[1])
            columns = pa.table({"cell_id": pa.array(list(table.cell_ids)), "vector": vectors})
            pq.write_table(columns.replace_schema_metadata({"provenance": provenance}), unfinished)


def read_embeddings(path: Path) -> EmbeddingTable:
    """Read embeddings from anyone's file.

    Raises:
        DataError: it is missing or damaged, lacks a column, or its vectors are not finite or of one length.
    """
    require_suffix(path)
    if not path.is_file():
        raise DataError(f"there is no embeddings file {path}")
    try:
        table = _read_safetensors(path) if path.suffix == ".safetensors" else _read_parquet(path)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{path} is no embeddings file: {error}",
            hint="It needs one cell_id and one vector a row; mitozoo embed writes such files.",
        ) from error
    if table.vectors.ndim != 2 or len(table.vectors) != len(table.cell_ids) or not table.vectors.shape[1]:
        raise DataError(f"{path} holds {len(table.cell_ids)} cells and vectors of shape {table.vectors.shape}")
    broken = np.flatnonzero(~np.isfinite(table.vectors).all(axis=1))
    if broken.size:
        raise DataError(f"{path}: the vector of cell {table.cell_ids[broken[0]]} holds NaN or infinity")
    return table


def _read_safetensors(path: Path) -> EmbeddingTable:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata, vectors = file.metadata() or {}, file.get_tensor("vectors")
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    if "cell_ids" not in metadata:
        raise ValueError("its metadata has no cell_ids, a JSON list as text")
    cell_ids = [str(cell_id) for cell_id in json.loads(metadata["cell_ids"])]
    return EmbeddingTable(cell_ids, vectors.astype(np.float32, copy=False), _provenance(metadata.get("provenance")))


def _read_parquet(path: Path) -> EmbeddingTable:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, read_dictionary=["cell_id"]) as file:
            absent = {"cell_id", "vector"} - set(file.schema_arrow.names)
            if absent:
                raise ValueError(f"it has no column {' and '.join(sorted(absent))}")
            _require_no_bomb(path, file.metadata)
            table = file.read(columns=["cell_id", "vector"])
        column = table["vector"].combine_chunks()
        lengths = set(pc.list_value_length(column).to_pylist())
        if column.null_count or len(lengths) > 1:
            raise ValueError(f"its vectors have {len(lengths)} different lengths, or some are null")
        values = pc.list_flatten(column).to_numpy(zero_copy_only=False).astype(np.float32)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    metadata = table.schema.metadata or {}
    text = metadata.get(b"provenance", b"{}").decode()
    ids = _names(table["cell_id"].combine_chunks())
    return EmbeddingTable(ids, values.reshape(len(ids), -1) if ids else values, _provenance(text))


def _require_no_bomb(path: Path, metadata: Any) -> None:
    """Refuse a file of a few bytes that repeats them into more than memory holds; real vectors hardly compress."""
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    values = sum(group.column(number).num_values for group in groups for number in range(group.num_columns))
    if BYTES_OF_A_VALUE * values > max(ALWAYS_BYTES, RATIO * path.stat().st_size):
        raise ValueError(f"it has {path.stat().st_size:,} bytes and claims {values:,} values")


def _names(column: Any) -> list[str]:
    """Return cell ids that lie in the file each once; a long name that many cells share would fill the memory."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return [str(cell_id) for cell_id in column.to_pylist()]
    known = [str(cell_id) for cell_id in column.dictionary.to_pylist()]
    if column.null_count:
        raise ValueError("a cell_id is null")
    return [known[index] for index in column.indices.to_pylist()]


def _provenance(text: str | None) -> dict[str, Any]:
    value = json.loads(text or "{}")
    return value if isinstance(value, dict) else {}


def require_suffix(path: Path) -> None:
    """Raise `DataError` unless the path ends like a file of embeddings."""
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path} must end in {' or '.join(SUFFIXES)}")
