"""Read and resample patches some batches ahead of whoever uses them."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mitozoo.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mitozoo.data.patches import PatchPlan
    from mitozoo.plugins.specs import Preprocessing

Rows = npt.NDArray[np.int64]
Patches = npt.NDArray[np.uint8]  # (m, size, size, 3)
Digests = npt.NDArray[np.uint8]  # (m, 16)
#: Batches in flight: enough to hide a slow tile; fewer where they are large, so that memory stays bounded.
READ_AHEAD, READ_AHEAD_BYTES = 4, 256_000_000


@dataclass(frozen=True)
class _Batch:
    """Patches that are being read into their places."""

    patches: Patches
    pixels: Digests
    reading: list[Future[None]]

    def wait(self) -> tuple[Patches, Digests]:
        for each in self.reading:
            each.result()
        return self.patches, self.pixels


def read_ahead(
    plan: PatchPlan, preprocessing: Preprocessing, batches: Sequence[Rows]
) -> Iterator[tuple[Patches, Digests]]:
    """Yield each batch's patches (m, size, size, 3) and pixel digests (m, 16), some batches ahead of the network."""
    size = preprocessing.size
    largest = max((len(rows) for rows in batches), default=1) * size * size * 3
    ahead = max(1, min(READ_AHEAD, READ_AHEAD_BYTES // largest))
    with ThreadPoolExecutor(max(2, min(16, os.cpu_count() or 2))) as readers:

        def start(rows: Rows) -> _Batch:
            patches = np.empty((len(rows), size, size, 3), dtype=np.uint8)
            pixels = np.empty((len(rows), 16), dtype=np.uint8)
            return _Batch(
                patches,
                pixels,
                [
                    readers.submit(_read, plan, preprocessing, int(row), patches[place], pixels[place])
                    for place, row in enumerate(rows)
                ],
            )

        waiting: deque[_Batch] = deque()
        try:
            for rows in batches:
                waiting.append(start(rows))
                if len(waiting) > ahead:
                    yield waiting.popleft().wait()
            while waiting:
                yield waiting.popleft().wait()
        finally:
            readers.shutdown(wait=False, cancel_futures=True)


def _read(plan: PatchPlan, preprocessing: Preprocessing, row: int, patch: Patches, pixels: Digests) -> None:
    """Read one window; put its patch, and a digest of what was read, where they belong."""
    from mitozoo.models.preprocessing import as_authors_see, resample

    try:
        window = plan.read(row)
    except OSError as error:
        raise SlideError(f"{plan.file(row)} cannot be read any more: {error}") from error
    digest = hashlib.blake2b(f"{window.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(window).data)
    pixels[:] = np.frombuffer(digest.digest(), dtype=np.uint8)
    patch[:] = (as_authors_see if plan.geometry.authors else resample)(window, preprocessing)
