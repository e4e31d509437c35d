"""Bring stored patches to the device, the next batch being read while the network works on this one."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from mitozoo.protocols.fine_tune import PatchRows


def fetched(patches: PatchRows, batches: Sequence[npt.NDArray[np.int64]], device: str) -> Iterator[Tensor]:
    """Yield each batch's patches, uint8 (m, side, side, 3) on the device, with all tissue stored around them."""
    pinned = torch.device(device).type == "cuda"

    def read(rows: npt.NDArray[np.int64]) -> Tensor:
        found = torch.from_numpy(np.ascontiguousarray(patches[rows]))
        return found.pin_memory() if pinned else found

    with ThreadPoolExecutor(1) as reader:
        ahead: deque[Future[Tensor]] = deque()
        for rows in batches:
            ahead.append(reader.submit(read, rows))
            if len(ahead) > 1:
                yield ahead.popleft().result().to(device, non_blocking=True)
        while ahead:
            yield ahead.popleft().result().to(device, non_blocking=True)
