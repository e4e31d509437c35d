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

    from mitozoo.data.slide import Pixels

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
    read: Callable[[int], Pixels | None],
    order: Sequence[int],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Crops:
    """Return what the crops look like, without those that cannot be read.

    Args:
        read: reads the crop at a position, (h, w, 3), or None; called from several threads.
        order: positions of the cells, in the order in which they are best read.
        on_progress: told (done, total).
    """
    looks: list[tuple[int, str, Pixels, int]] = []
    with ThreadPoolExecutor(READING_THREADS) as threads:
        for done, (row, look) in enumerate(zip(order, threads.map(lambda row: _look(read(row)), order), strict=True)):
            if look is not None:
                looks.append((int(row), *look))
            on_progress(done + 1, len(order))
    looks.sort(key=lambda look: look[0])
    return Crops(
        rows=np.array([look[0] for look in looks], dtype=np.int64),
        digests=tuple(look[1] for look in looks),
        thumbs=np.array([look[2] for look in looks], dtype=np.uint8).reshape(-1, THUMB_PX, THUMB_PX),
        borders=np.array([look[3] for look in looks], dtype=np.int64),
    )


def _look(pixels: Pixels | None) -> tuple[str, Pixels, int] | None:
    from PIL import Image

    if pixels is None:
        return None
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
