"""Read windows, and resample them where the device does not, some batches ahead of whoever uses them."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from mitozoo.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mitozoo.data.patches import PatchPlan
    from mitozoo.plugins.specs import Preprocessing

Rows = npt.NDArray[np.int64]
Patches = npt.NDArray[np.uint8]  # (m, size, size, 3)
Windows = list[npt.NDArray[np.uint8]]  # (side, side, 3) each, of any sides
Digests = npt.NDArray[np.uint8]  # (m, 16)
Held = TypeVar("Held", Patches, Windows)
#: Batches in flight: enough to hide a slow tile; fewer where they are large, so that memory stays bounded.
READ_AHEAD, READ_AHEAD_BYTES = 4, 256_000_000
ROWS_A_TASK = 8  # neighbours share tiles: one thread reads them, so that no two wait for the same tile


@dataclass(frozen=True)
class _Batch(Generic[Held]):
    """Patches or windows that are being read into their places."""

    held: Held
    pixels: Digests
    reading: list[Future[None]]

    def wait(self) -> tuple[Held, Digests]:
        for each in self.reading:
            each.result()
        return self.held, self.pixels


def read_ahead(
    plan: PatchPlan, preprocessing: Preprocessing, batches: Sequence[Rows]
) -> Iterator[tuple[Patches, Digests]]:
    """Yield each batch's patches (m, size, size, 3) and pixel digests (m, 16), some batches ahead of the network."""
    from mitozoo.models.preprocessing import as_authors_see, resample

    size = preprocessing.size
    see = as_authors_see if plan.geometry.authors else resample
    return _ahead(
        plan, batches, size, lambda cells: np.empty((cells, size, size, 3), dtype=np.uint8),
        lambda window: see(window, preprocessing),
    )  # fmt: skip


def read_windows_ahead(plan: PatchPlan, batches: Sequence[Rows]) -> Iterator[tuple[Windows, Digests]]:
    """Yield each batch's windows as they lie in their files, to be resampled on the device, and pixel digests."""
    side = int(plan.side_px.max(initial=1))  # at most: a coarser level gives fewer px
    return _ahead(plan, batches, side, lambda cells: [np.empty(0, dtype=np.uint8)] * cells, lambda window: window)


def _ahead(
    plan: PatchPlan, batches: Sequence[Rows], side: int, hold: Callable[[int], Held], see: Callable[[Any], Any]
) -> Iterator[tuple[Held, Digests]]:
    largest = max((len(rows) for rows in batches), default=1) * side * side * 3
    ahead = max(1, min(READ_AHEAD, READ_AHEAD_BYTES // largest))
    with ThreadPoolExecutor(reading_threads()) as readers:

        def start(rows: Rows) -> _Batch[Held]:
            held, pixels = hold(len(rows)), np.empty((len(rows), 16), dtype=np.uint8)
            tasks = (range(at, min(at + ROWS_A_TASK, len(rows))) for at in range(0, len(rows), ROWS_A_TASK))
            reading = [readers.submit(_read, plan, rows, see, held, pixels, places) for places in tasks]
            return _Batch(held, pixels, reading)

        waiting: deque[_Batch[Held]] = deque()
        try:
            for rows in batches:
                waiting.append(start(rows))
                if len(waiting) > ahead:
                    yield waiting.popleft().wait()
            while waiting:
                yield waiting.popleft().wait()
        finally:
            readers.shutdown(wait=False, cancel_futures=True)


def _read(
    plan: PatchPlan, rows: Rows, see: Callable[[Any], Any], held: Patches | Windows, pixels: Digests, places: range
) -> None:
    """Read some windows; put what is seen of them, and digests of what was read, where they belong."""
    for place in places:
        window, pixels[place] = read_window(plan, int(rows[place]))
        held[place] = see(window)


def read_window(plan: PatchPlan, row: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return a cell's window and a digest (16,) of its pixels.

    Raises:
        SlideError: its file went away, or became unreadable, since the plan was made.
    """
    try:
        window = plan.read(row)
    except OSError as error:
        raise SlideError(f"{plan.file(row)} cannot be read any more: {error}") from error
    digest = hashlib.blake2b(f"{window.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(window).data)
    return window, np.frombuffer(digest.digest(), dtype=np.uint8)


def reading_threads() -> int:
    """Return how many threads read: decoders let go of the interpreter."""
    return max(2, min(16, os.cpu_count() or 2))
