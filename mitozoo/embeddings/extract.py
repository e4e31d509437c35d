"""Run encoders over the cells whose embeddings are not cached yet, reading ahead while the networks work."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mitozoo.embeddings.embedder import Embedder, Extraction
from mitozoo.embeddings.holding import alone, hold
from mitozoo.embeddings.reading import read_ahead
from mitozoo.embeddings.shard_files import shard_name
from mitozoo.embeddings.shards import shards
from mitozoo.embeddings.shared_shards import share
from mitozoo.errors import SlideError, StorageError
from mitozoo.models.determinism import deterministic
from mitozoo.models.heap import kept_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from mitozoo.data.patches import PatchPlan
    from mitozoo.embeddings.lookup import RowKeys
    from mitozoo.embeddings.reading import Rows
    from mitozoo.embeddings.store import EmbeddingStore
    from mitozoo.models.encoder import Encoder


@dataclass(frozen=True)
class Embedded:
    """The embeddings of a plan's cells.

    Attributes:
        vectors: (n, d) float32.
        pixels: (n, 16) digest of the pixels that were read for each cell, equal for equal windows.
        computed: how many were embedded anew: those that were not cached, and their shards' others.
    """

    vectors: npt.NDArray[np.float32]
    pixels: RowKeys
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
    extraction = Extraction(plan, store, load)
    computed = 0
    for _ in range(2):  # a second time where a cached shard turns out to be damaged
        computed += sum(
            embed_missing([extraction], device=device, batch_size=batch_size, on_progress=on_progress, on_note=on_note)
        )
        try:
            vectors, pixels = store.load(extraction.keys)
        except KeyError:
            continue
        return Embedded(vectors, pixels, computed)
    raise StorageError(f"the embedding cache in {store.folder} loses what is written to it", hint="Check that disk.")


def embed_missing(
    extractions: Sequence[Extraction],
    *,
    device: str,
    batch_size: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_note: Callable[[str], None] = lambda text: None,
) -> list[int]:
    """Cache the embeddings that are missing, of several models in one pass; return how many were computed of each.

    A window that several models share is read once. Each model meets the batches that it would meet alone. Where
    another process embeds the very same cells, this one waits and finds them done. Where machines share a cache, what
    is missing here is looked for there first, and uploaded once it is done.

    Args:
        extractions: of the same cells in the same order, in windows that may differ.
        device: 'cuda', 'mps' or 'cpu'; it holds all networks of those that miss something.
        batch_size: cells at once.
        on_progress: called with (done, total) cells after each batch of all models.
        on_note: told what a person should know, such as that batches are halved.

    Raises:
        ModelError: an embedding is not finite.
        SlideError: a slide became unreadable on the way.
        StorageError: there is no room for them, or the shared cache cannot be reached.
    """
    pieces = shards(extractions[0].plan)
    computed, busy = [0] * len(extractions), []
    for extraction in extractions:
        plan, first = extraction.plan, extractions[0].plan
        if not all(np.array_equal(getattr(plan, name), getattr(first, name)) for name in ("file_index", "x", "y")):
            raise ValueError("models that share a pass must see the same cells")
        hold(extraction.store.folder)
    with _alone(extractions, on_note):
        for place, extraction in enumerate(extractions):
            store, keys = extraction.store, extraction.keys
            if (shared := share(store, on_note)) is not None:
                shared.put_all(keys)
                shared.take(keys, [shard_name(keys[rows]) for rows in pieces])
            todo = store.missing(keys)
            wanted = {number for number, rows in enumerate(pieces) if todo[rows].any()}
            if wanted:
                computed[place] = sum(len(pieces[number]) for number in wanted)
                store.require_room(computed[place])
                busy.append((extraction, wanted, shared))
        if busy:
            embedders = [Embedder(*one, device, on_note) for one in busy]
            stores = [extraction.store for extraction, _, _ in busy]
            names = ", ".join(f"model '{one.key.model}'" for one in stores)
            alike = deterministic(any(one.key.deterministic for one in stores), names)
            with alike, kept_memory(device):
                _pass(pieces, embedders, batch_size, on_progress)
    return computed


@contextlib.contextmanager
def _alone(extractions: Sequence[Extraction], on_note: Callable[[str], None]) -> Iterator[None]:
    """Keep other processes that share this cache from embedding what is missing of the very same cells."""
    in_order = sorted(extractions, key=lambda one: one.store.folder)  # everywhere, so that nobody waits in a ring
    with contextlib.ExitStack() as held:
        for one in in_order:
            if one.store.missing(one.keys).any():
                held.enter_context(alone(one.store.folder, shard_name(one.keys), on_note))
        yield


def _pass(
    pieces: list[Rows], embedders: list[Embedder], batch_size: int, on_progress: Callable[[int, int], None]
) -> None:
    """Read the shards that any model misses, and have each model embed those that it misses."""
    wanted = sorted(set().union(*(one.wanted for one in embedders)))
    batches = [
        (number, pieces[number][start : start + batch_size], start + batch_size >= len(pieces[number]))
        for number in wanted
        for start in range(0, len(pieces[number]), batch_size)
    ]
    lookers = {number: [one for one in embedders if number in one.wanted] for number in wanted}
    total, done = sum(len(pieces[number]) for number in wanted), 0
    reading = read_ahead([(rows, [one.view for one in lookers[number]]) for number, rows, _ in batches])
    try:
        for (number, rows, ends_shard), read in zip(batches, reading, strict=True):
            for one, (patches, pixels) in zip(lookers[number], read, strict=True):
                one.send(rows, patches, pixels, ends_shard=ends_shard)
            done += len(rows)
            on_progress(done, total)
    except SlideError:  # what was read before it is not lost
        _finish(embedders)
        raise
    _finish(embedders)


def _finish(embedders: list[Embedder]) -> None:
    for one in embedders:
        one.finish()
