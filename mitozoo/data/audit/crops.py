"""What each crop looks like: a digest of its pixels, a small grey picture, and how wide its border is of one colour."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mitozoo.data.slides import Pixels

THUMB_PX = 64
READING_THREADS = 4


@dataclass(frozen=True, eq=False)
class Crops:
    """What was seen of some cells.

    Attributes:
        rows: (m,) positions of those cells.
        digests: (m,) equal where the pixels are equal.
        thumbs: (m, 64, 64) grey.
        borders: (m,) px of the widest side that is of one colour.
    """

    rows: npt.NDArray[np.int64]
    digests: tuple[str, ...]
    thumbs: npt.NDArray[np.uint8]
    borders: npt.NDArray[np.int64]


def look_at(
    read: Callable[[int], Pixels], order: Sequence[int], on_progress: Callable[[int, int], None] = lambda done, of: None
) -> Crops:
    """Return what the crops look like; `read` gives (h, w, 3) for a position and is called from several threads.

    Args:
        read: reads one crop.
        order: positions of the cells, in the order in which they are best read.
        on_progress: told (done, total).
    """
    digests: list[str] = []
    thumbs = np.empty((len(order), THUMB_PX, THUMB_PX), dtype=np.uint8)
    borders = np.empty(len(order), dtype=np.int64)
    with ThreadPoolExecutor(READING_THREADS) as threads:
        for place, (digest, thumb, border) in enumerate(threads.map(lambda row: _look(read(row)), order)):
            digests.append(digest)
            thumbs[place], borders[place] = thumb, border
            on_progress(place + 1, len(order))
    rows = np.asarray(order, dtype=np.int64)
    sorting = np.argsort(rows)
    return Crops(rows[sorting], tuple(digests[place] for place in sorting), thumbs[sorting], borders[sorting])


def _look(pixels: Pixels) -> tuple[str, Pixels, int]:
    from PIL import Image

    digest = hashlib.sha256(f"{pixels.shape} ".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
    grey = Image.fromarray(pixels).convert("L").resize((THUMB_PX, THUMB_PX), Image.Resampling.BOX)
    return digest, np.asarray(grey), _border(pixels)


def _border(pixels: Pixels) -> int:
    """Return how many whole rows or columns, from any side, have the colour of the corner pixel that they begin at."""
    widest = 0
    for turned in (pixels, pixels[::-1], pixels.transpose(1, 0, 2), pixels[:, ::-1].transpose(1, 0, 2)):
        if (turned[0] != turned[0, 0]).any():  # most crops: told by one row
            continue
        other = (turned != turned[0, 0]).any(axis=(1, 2))
        widest = max(widest, int(np.argmax(other)) if other.any() else len(turned))
    return widest
