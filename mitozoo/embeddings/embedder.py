"""One model on its way through the shards that it misses, some batches ahead of the embeddings that are taken."""

from __future__ import annotations

import functools
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mitozoo.embeddings.forward import bring, resamples, run_network
from mitozoo.embeddings.reading import View
from mitozoo.embeddings.shard_files import Shard
from mitozoo.errors import ModelError
from mitozoo.models.devices import number_format

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitozoo.data.patches import PatchPlan
    from mitozoo.embeddings.forward import Waiting
    from mitozoo.embeddings.lookup import RowKeys
    from mitozoo.embeddings.reading import Digests, Patches, Rows, Windows
    from mitozoo.embeddings.shared_shards import SharedShards
    from mitozoo.embeddings.store import EmbeddingStore
    from mitozoo.models.encoder import Encoder

#: Batches that a device was given and whose embeddings were not taken yet: it computes one, and the next is there.
UNDER_WAY = 2


@dataclass(frozen=True)
class Extraction:
    """What one model embeds.

    Attributes:
        plan: the windows.
        store: where embeddings are kept.
        load: builds the encoder; called only where something is missing.
    """

    plan: PatchPlan
    store: EmbeddingStore
    load: Callable[[], Encoder]

    @functools.cached_property
    def keys(self) -> RowKeys:
        """(n, 16) what each cell's embedding is kept under."""
        return self.plan.row_keys()


@dataclass(frozen=True)
class _Batch:
    """Cells whose embeddings are under way; the last of their shard, it may be."""

    rows: Rows
    pixels: Digests
    ends_shard: bool
    wait: Waiting


class Embedder:
    """Embeds batches in their order, and keeps a shard as soon as it is whole.

    Nothing waits for the device before it has `UNDER_WAY` further batches: these are copied there, and embeddings are
    copied back, while it computes.
    """

    def __init__(
        self,
        extraction: Extraction,
        wanted: set[int],
        shared: SharedShards | None,
        device: str,
        on_note: Callable[[str], None],
    ) -> None:
        """Load the encoder onto the device.

        Args:
            extraction: what it embeds.
            wanted: numbers of the shards that it misses.
            shared: where they are uploaded too.
            device: 'cuda', 'mps' or 'cpu'.
            on_note: told what a person should know, such as that batches are halved.
        """
        from mitozoo.models.devices import place
        from mitozoo.models.memory import Halving

        self.wanted, self._of, self._shared, self._device = wanted, extraction, shared, device
        encoder = extraction.load()
        place(encoder, device)
        preprocessing, precision = encoder.spec.preprocessing, extraction.store.key.precision
        self.view = View(extraction.plan, preprocessing, whole=resamples(device, preprocessing))

        def launch(patches: Patches | Windows) -> Waiting:
            return run_network(encoder, bring(patches, self.view, device), precision, device)

        self._halving = Halving(launch, on_note)
        self._under_way: deque[_Batch] = deque()
        self._gathered: list[Shard] = []
        self._begun = False

    def send(self, rows: Rows, patches: Patches | Windows, pixels: Digests, *, ends_shard: bool) -> None:
        """Start on a batch, and take the embeddings of an earlier one."""
        if not self._begun:
            self._begun = True
            self._halving.fit(patches, self._device)
        self._under_way.append(_Batch(rows, pixels, ends_shard, self._halving.start(patches)))
        if len(self._under_way) > UNDER_WAY:
            self._take()

    def finish(self) -> None:
        """Take the embeddings of all batches that are still under way."""
        while self._under_way:
            self._take()

    def _take(self) -> None:
        batch, store = self._under_way.popleft(), self._of.store
        vectors = batch.wait()
        if not np.isfinite(vectors).all():
            cell = self._of.plan.cells.table["cell_id"].iloc[batch.rows[~np.isfinite(vectors).all(axis=1)][0]]
            raise ModelError(
                f"model '{store.key.model}' gives NaN or infinity for cell {cell} in {store.key.precision}",
                hint="Try --precision fp32." if number_format(store.key.precision) != "fp32" else None,
            )
        self._gathered.append(Shard(self._of.keys[batch.rows], vectors, batch.pixels))
        if batch.ends_shard:
            written = store.write(_joined(self._gathered))
            if self._shared is not None:
                self._shared.put(written)
            self._gathered = []


def _joined(parts: list[Shard]) -> Shard:
    return Shard(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("rows", "embeddings", "pixels")))
