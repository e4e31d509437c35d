"""Rows fitted on frozen embeddings: heads, several at a time where the processor has several cores."""

from __future__ import annotations

import contextlib
import hashlib
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

import numpy as np

from mitozoo.engine.copies import Copies
from mitozoo.engine.embed import embed_with
from mitozoo.engine.subject import BroughtEmbeddings, RegisteredModel
from mitozoo.errors import ProtocolError
from mitozoo.models.determinism import deterministic
from mitozoo.models.heap import give_back
from mitozoo.protocols.kinds import HEAD_FITS, TAKE_TENSORS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    from torch import Tensor

    from mitozoo.data.audit import PixelHashes
    from mitozoo.data.cells import Cells
    from mitozoo.data.patches import PatchPlan
    from mitozoo.data.splits import Labels
    from mitozoo.engine.copies import Perturbed
    from mitozoo.engine.fits import Fit
    from mitozoo.engine.progress import Advance, Progress
    from mitozoo.protocols.prediction import Prediction
    from mitozoo.protocols.spec import Protocol
    from mitozoo.results.conditions import Conditions
    from mitozoo.results.row import ResultRow, Rows

#: What a fit holds at most of each training cell's values: copies in double and in single precision.
BYTES_OF_A_VALUE = 20


class FrozenFitter:
    """Fits heads on embeddings."""

    stage, unit = "probe", "rows"

    def __init__(
        self,
        protocol: Protocol,
        subject: RegisteredModel | BroughtEmbeddings,
        cells: Cells,
        plan: PatchPlan | None,
        perturbed: Sequence[Perturbed],
        conditions: Conditions,
        device: str,
        precision: str | None,
        batch_size: int | None,
        progress: Progress,
        *,
        deterministic: bool = False,
    ) -> None:
        if protocol.kind not in HEAD_FITS:
            raise ProtocolError(f"protocol '{protocol.name}' of kind '{protocol.kind}' cannot be run by this version")
        self.protocol, self.subject, self.cells, self.plan = protocol, subject, cells, plan
        self.device, self.precision, self.progress = device, precision, progress
        self.batch_size, self.deterministic = batch_size, deterministic
        self.conditions, self.copies = conditions, Copies(len(cells), perturbed)
        self.labels, self.groups = cells.labels[self.copies.shown], cells.group_codes[self.copies.shown]
        self.embeddings: npt.NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)
        self.held: Tensor | None = None
        self.computed = 0

    def prepare(self) -> PixelHashes | None:
        """Have the embeddings of all cells, from the cache where they are there."""
        if isinstance(self.subject, BroughtEmbeddings):
            ids = self.cells.table["cell_id"].tolist()
            self.embeddings = self.subject.table.of(ids, str(self.subject.path))
            return None
        assert self.plan is not None
        assert self.precision is not None
        how = self.device, self.precision, self.batch_size, self.progress, self.deterministic
        embedded = embed_with(self.subject, self.plan, *how)
        self.embeddings, self.computed = embedded.vectors, embedded.computed
        for one in self.copies.perturbed:
            more = embed_with(self.subject, one.plan, *how)
            self.embeddings = np.concatenate([self.embeddings, more.vectors])
            self.computed += more.computed
        return embedded.pixels

    def fit(self, fits: Sequence[Fit], advance: Advance) -> Iterator[list[ResultRow]]:
        """Fit heads side by side; seeds that drew the same cells share one."""
        alike: dict[bytes, list[Fit]] = {}
        for fit in fits:
            alike.setdefault(self._digest(fit), []).append(fit)
        largest = max((len(fit.train) for fit in fits), default=1)
        give_back()
        self.held = self._on_device()
        with deterministic(self.deterministic, f"protocol '{self.protocol.name}'"), self._side_by_side(largest) as pool:
            heads = {pool.submit(self._head, same[0]): same for same in alike.values()}
            done = 0
            for head in as_completed(heads):
                for fit in heads[head]:
                    done += 1
                    yield self.copies.rows_of(fit.rows, fit.train, fit.test, head.result())
                advance(done, len(fits))

    def _head(self, fit: Fit) -> Prediction:
        device = "cpu" if self.device == "mps" else self.device  # mps knows no double precision
        labels, scored = self._trained_labels(fit), self._scored(fit)
        fit_head, embeddings = HEAD_FITS[self.protocol.kind], self.embeddings if self.held is None else self.held
        return fit_head(self.protocol, embeddings, labels, self.groups, fit.train, scored, device=device)

    def _on_device(self) -> Tensor | None:
        """Return the embeddings on a GPU, once for all fits, where these then still find room; else None."""
        import torch

        from mitozoo.models.memory import free_bytes

        if not self.device.startswith("cuda") or self.protocol.kind not in TAKE_TENSORS:
            return None
        room = self.embeddings.size * (BYTES_OF_A_VALUE + self.embeddings.itemsize)
        return torch.as_tensor(self.embeddings).to(self.device) if room <= (free_bytes(self.device) or 0) else None

    def _trained_labels(self, fit: Fit) -> Labels:
        return self.conditions.trained_labels(self.labels, fit.rows[0].seed)

    def _scored(self, fit: Fit) -> Rows:
        return np.concatenate(self.copies.tested(fit.rows, fit.test))

    def _digest(self, fit: Fit) -> bytes:
        """Return the same bytes for fits that are the same but for their seed."""
        digest = hashlib.sha256(self._trained_labels(fit)[fit.train].tobytes())
        for rows in (fit.train, self._scored(fit)):
            digest.update(len(rows).to_bytes(8) + rows.tobytes())
        return digest.digest()

    @contextlib.contextmanager
    def _side_by_side(self, cells: int) -> Iterator[ThreadPoolExecutor]:
        """Give as many threads as torch may use on this processor and its memory holds fits; one on a GPU.

        A fit keeps to one thread of the processor: its small matrix products gain little from more, and so its bytes
        do not depend on how many there are.
        """
        import torch

        from mitozoo.models.memory import free_bytes

        threads, at_once = torch.get_num_threads(), 1
        if not self.device.startswith("cuda"):
            held = max(1, cells * self.embeddings.shape[1] * BYTES_OF_A_VALUE)
            at_once = max(1, min(threads, (free_bytes("cpu") or held) // held))
        torch.set_num_threads(1)
        try:
            pool = ThreadPoolExecutor(at_once)
            try:
                yield pool
            finally:  # after an interrupt, what has not begun is left
                pool.shutdown(cancel_futures=True)
        finally:
            torch.set_num_threads(threads)
