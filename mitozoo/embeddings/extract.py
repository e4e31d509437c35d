"""Run an encoder over the cells whose embeddings are not cached yet, reading ahead while the network works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mitozoo import storage
from mitozoo.embeddings.reading import read_ahead, read_windows_ahead
from mitozoo.embeddings.store import EmbeddingStore, RowKeys, Shard
from mitozoo.errors import ModelError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from mitozoo.data.patches import PatchPlan
    from mitozoo.embeddings.reading import Digests, Patches, Windows
    from mitozoo.models.encoder import Encoder
    from mitozoo.plugins.specs import Preprocessing

Rows = npt.NDArray[np.int64]
SHARD_CELLS = 1024


@dataclass(frozen=True)
class Embedded:
    """The embeddings of a plan's cells.

    Attributes:
        vectors: (n, d) float32.
        pixels: (n,) digest of the pixels that were read for each cell, equal for equal windows.
        computed: how many were embedded anew: those that were not cached, and their shards' others.
    """

    vectors: npt.NDArray[np.float32]
    pixels: list[str]
    computed: int


def embed(
    plan: PatchPlan,
    store: EmbeddingStore,
    load: Callable[[], Encoder],
    *,
    device: str,
    batch_size: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_note: Callable[[str], None] = lambda text: None,
) -> Embedded:
    """Return the embeddings of all cells, computing those that are missing.

    Args:
        plan: the windows.
        store: where embeddings are kept.
        load: builds the encoder; called only where something is missing.
        device: 'cuda', 'mps' or 'cpu'.
        batch_size: cells at once.
        on_progress: called with (done, total) after each batch.
        on_note: told what a person should know, such as that batches are halved.

    Raises:
        ModelError: an embedding is not finite.
        SlideError: a slide became unreadable on the way.
    """
    keys = plan.row_keys()
    storage.hold(store.folder)
    computed = 0
    for _ in range(2):  # a second time where a cached shard turns out to be damaged
        todo = store.missing(keys)
        wanted = [rows for rows in shards(plan) if todo[rows].any()]
        if wanted:
            cells = sum(map(len, wanted))
            store.require_room(cells)
            _compute(plan, keys, wanted, store, load(), device, batch_size, on_progress, on_note)
            computed += cells
        try:
            vectors, pixels = store.load(keys)
        except KeyError:
            continue
        return Embedded(vectors, [row.tobytes().hex() for row in pixels], computed)
    raise StorageError(f"the embedding cache in {store.folder} loses what is written to it", hint="Check that disk.")


def shards(plan: PatchPlan) -> list[Rows]:
    """Return rows by shard, in reading order: whole files up to `SHARD_CELLS` cells, a larger file in pieces.

    Batches never cross a shard, so that a resumed extraction meets the same batches as an undisturbed one.
    """
    order = plan.reading_order()
    files = plan.file_index[order]
    pieces: list[Rows] = []
    for rows in np.split(order, np.flatnonzero(np.diff(files)) + 1):
        pieces.extend(np.split(rows, range(SHARD_CELLS, len(rows), SHARD_CELLS)))
    made: list[list[Rows]] = []
    for piece in pieces:
        if made and sum(map(len, made[-1])) + len(piece) <= SHARD_CELLS:
            made[-1].append(piece)
        else:
            made.append([piece])
    return [np.concatenate(shard) for shard in made]


def _compute(
    plan: PatchPlan,
    keys: RowKeys,
    wanted: list[Rows],
    store: EmbeddingStore,
    encoder: Encoder,
    device: str,
    batch_size: int,
    on_progress: Callable[[int, int], None],
    on_note: Callable[[str], None],
) -> None:
    import torch

    from mitozoo.models.batched_preprocessing import prepare
    from mitozoo.models.devices import place
    from mitozoo.models.memory import Halving

    preprocessing, authors = encoder.spec.preprocessing, plan.geometry.authors

    def bring(patches: Patches | Windows) -> torch.Tensor:
        if isinstance(patches, list):
            return prepare(patches, preprocessing, device, authors=authors)
        return torch.from_numpy(patches).to(device, non_blocking=True)

    batches = [
        (shard, rows[start : start + batch_size])
        for shard, rows in enumerate(wanted)
        for start in range(0, len(rows), batch_size)
    ]
    total, done = sum(map(len, wanted)), 0
    place(encoder, device)
    forward = Halving(lambda patches: _forward(encoder, bring(patches), store.key.precision, device), on_note)
    gathered: list[Shard] = []
    order = [rows for _, rows in batches]
    read: Iterator[tuple[Patches | Windows, Digests]] = (
        read_windows_ahead(plan, order) if _resamples(device, preprocessing) else read_ahead(plan, preprocessing, order)
    )
    for index, (patches, pixels) in enumerate(read):
        shard, rows = batches[index]
        vectors = forward(patches)
        if not np.isfinite(vectors).all():
            cell = plan.cells.table["cell_id"].iloc[rows[~np.isfinite(vectors).all(axis=1)][0]]
            raise ModelError(
                f"model '{store.key.model}' gives NaN or infinity for cell {cell} in {store.key.precision}",
                hint="Try --precision fp32." if store.key.precision != "fp32" else None,
            )
        gathered.append(Shard(keys[rows], vectors, pixels))
        if index + 1 == len(batches) or batches[index + 1][0] != shard:
            store.write(_joined(gathered))
            gathered = []
        done += len(rows)
        on_progress(done, total)


def _resamples(device: str, preprocessing: Preprocessing) -> bool:
    """Tell whether a device is better at resampling than the CPU's threads; the pixels are the same either way."""
    from mitozoo.models.batched_preprocessing import works_for

    return device != "cpu" and works_for(preprocessing)


def _forward(encoder: Encoder, patches: torch.Tensor, precision: str, device: str) -> npt.NDArray[np.float32]:
    """Embed uint8 (n, size, size, 3) that lie on the device."""
    import torch

    from mitozoo.models.devices import autocast
    from mitozoo.models.preprocessing import normalise

    images = normalise(patches, encoder.spec.preprocessing)
    with torch.inference_mode(), autocast(device, precision):
        return encoder(images).float().cpu().numpy()


def _joined(parts: list[Shard]) -> Shard:
    return Shard(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("rows", "embeddings", "pixels")))
