"""Bring stored patches to the device, the next batches being read while the network works on this one."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from mitozoo.data.splits import Rows
    from mitozoo.protocols.network_training import PatchRows

BATCHES_AHEAD = 2


class Reader:
    """Reads batch after batch on a thread of its own, from one run of them into the next."""

    def __init__(self, patches: PatchRows, device: str) -> None:
        """Take the patches, and the device that they are brought to."""
        self.patches, self.device = patches, device
        self._pinned = torch.device(device).type == "cuda"
        self._thread = ThreadPoolExecutor(1)
        self._ahead: deque[tuple[Rows, Future[Tensor]]] = deque()

    def read(self, batches: Sequence[Rows], then: Sequence[Rows] = ()) -> Iterator[Tensor]:
        """Yield each batch's patches, uint8 (m, side, side, 3) on the device, with all tissue stored around them.

        Args:
            batches: rows of each batch.
            then: what is likely to be asked for next: its first batches are read while the last of these are worked
                on, and are there when they are asked for; if they never are, nothing is lost but the reading.
        """
        coming = [*batches, *then[:BATCHES_AHEAD]]
        if any(not np.array_equal(rows, read) for rows, (read, _) in zip(coming, self._ahead, strict=False)):
            self._ahead.clear()
        for number in range(len(batches)):
            for rows in coming[number + len(self._ahead) : number + 1 + BATCHES_AHEAD]:
                self._ahead.append((rows, self._thread.submit(self._read, rows)))
            yield self._ahead.popleft()[1].result().to(self.device, non_blocking=True)

    def _read(self, rows: Rows) -> Tensor:
        found = torch.from_numpy(np.ascontiguousarray(self.patches[rows]))
        return found.pin_memory() if self._pinned else found
