"""Read windows, and resample them where the device does not, some batches ahead of whoever uses them."""

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
    from collections.abc import Hashable, Iterator, Sequence

    from mitozoo.data.patches import PatchPlan
    from mitozoo.plugins.preprocessing import Preprocessing

Rows = npt.NDArray[np.int64]
Patches = npt.NDArray[np.uint8]  # (m, size, size, 3)
Windows = list[npt.NDArray[np.uint8]]  # (side, side, 3) each, of any sides
Digests = npt.NDArray[np.uint8]  # (m, 16)
Read = tuple[Patches | Windows, Digests]
#: Batches in flight: enough to hide a slow tile; fewer where they are large, so that memory stays bounded.
READ_AHEAD, READ_AHEAD_BYTES = 4, 256_000_000
ROWS_A_TASK = 8  # neighbours share tiles: one thread reads them, so that no two wait for the same tile


@dataclass(frozen=True)
class View:
    """What one model sees of the cells that several may look at.

    Attributes:
        plan: its windows.
        preprocessing: its own.
        whole: windows are wanted as they lie in their files, to be resampled on the device.
    """

    plan: PatchPlan
    preprocessing: Preprocessing
    whole: bool = False

    @property
    def side(self) -> int:
        """The most px that a side of what is held may have: a coarser level gives fewer."""
        return int(self.plan.side_px.max(initial=1)) if self.whole else self.preprocessing.size

    def hold(self, cells: int) -> Patches | Windows:
        """Return room for so many cells."""
        if self.whole:
            return [np.empty(0, dtype=np.uint8)] * cells
        return np.empty((cells, self.side, self.side, 3), dtype=np.uint8)

    def see(self, window: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return what is held of a window."""
        from mitozoo.models.preprocessing import as_authors_see, resample

        if self.whole:
            return window
        return (as_authors_see if self.plan.geometry.authors else resample)(window, self.preprocessing)


@dataclass(frozen=True)
class _Batch:
    """What each view holds of some cells that are being read."""

    read: list[Read]
    reading: list[Future[None]]

    def wait(self) -> list[Read]:
        for each in self.reading:
            each.result()
        return self.read


def read_ahead(batches: Sequence[tuple[Rows, Sequence[View]]]) -> Iterator[list[Read]]:
    """Yield, for each batch and view, patches (m, size, size, 3) or whole windows, and pixel digests (m, 16).

    Reading is some batches ahead of the network. A window that several views share is read once.

    Args:
        batches: rows, the same cells in all plans, and who looks at them.
    """
    largest = max((len(rows) * sum(view.side**2 * 3 for view in views) for rows, views in batches), default=1)
    ahead = max(1, min(READ_AHEAD, READ_AHEAD_BYTES // max(largest, 1)))
    with ThreadPoolExecutor(reading_threads()) as readers:

        def start(rows: Rows, views: Sequence[View]) -> _Batch:
            read = [(view.hold(len(rows)), np.empty((len(rows), 16), dtype=np.uint8)) for view in views]
            tasks = (range(at, min(at + ROWS_A_TASK, len(rows))) for at in range(0, len(rows), ROWS_A_TASK))
            return _Batch(read, [readers.submit(_read, rows, views, read, places) for places in tasks])

        waiting: deque[_Batch] = deque()
        try:
            for rows, views in batches:
                waiting.append(start(rows, views))
                if len(waiting) > ahead:
                    yield waiting.popleft().wait()
            while waiting:
                yield waiting.popleft().wait()
        finally:
            readers.shutdown(wait=False, cancel_futures=True)


def _read(rows: Rows, views: Sequence[View], read: list[Read], places: range) -> None:
    """Read some windows; put what each view sees of them, and digests of what was read, where they belong."""
    for place in places:
        row = int(rows[place])
        found: dict[Hashable, tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] = {}
        for view, (held, pixels) in zip(views, read, strict=True):
            which = view.plan.which_window(row) if len(views) > 1 else None
            if which not in found:
                found[which] = read_window(view.plan, row)
            window, pixels[place] = found[which]
            held[place] = view.see(window)


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
