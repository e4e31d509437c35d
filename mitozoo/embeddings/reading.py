"""Read and resample patches some batches ahead of whoever uses them."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mitozoo.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mitozoo.data.patches import PatchPlan
    from mitozoo.plugins.specs import Preprocessing

Rows = npt.NDArray[np.int64]
Digests = npt.NDArray[np.uint8]  # (m, 16)
READ_AHEAD = 4  # batches in flight: enough to hide a slow tile, small enough to stay far below a gigabyte


def read_ahead(
    plan: PatchPlan, preprocessing: Preprocessing, batches: Sequence[Rows]
) -> Iterator[tuple[npt.NDArray[np.uint8], Digests]]:
    """Yield each batch's patches (m, size, size, 3) and pixel digests (m, 16), some batches ahead of the network."""
    with ThreadPoolExecutor(max(2, min(16, os.cpu_count() or 2))) as readers:
        waiting: deque[list[Future[Any]]] = deque()
        ahead = iter(batches)
        try:
            for rows in ahead:
                waiting.append([readers.submit(_read, plan, preprocessing, int(row)) for row in rows])
                if len(waiting) > READ_AHEAD:
                    yield _stacked(waiting.popleft())
            while waiting:
                yield _stacked(waiting.popleft())
        finally:
            readers.shutdown(wait=False, cancel_futures=True)


def _read(
    plan: PatchPlan, preprocessing: Preprocessing, row: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    from mitozoo.models.preprocessing import resample

    try:
        window = plan.read(row)
    except OSError as error:
        raise SlideError(f"{plan.file(row)} cannot be read any more: {error}") from error
    digest = hashlib.blake2b(f"{window.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(window).data)
    return resample(window, preprocessing), np.frombuffer(digest.digest(), dtype=np.uint8)


def _stacked(futures: list[Future[Any]]) -> tuple[npt.NDArray[np.uint8], Digests]:
    patches, pixels = zip(*(future.result() for future in futures), strict=True)
    return np.stack(patches), np.stack(pixels)
