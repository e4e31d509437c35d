"""Crops that show the same: compared by block means first, then, shifted against each other, by their pixels."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

Picture = npt.NDArray[Any]  # grey, (64, 64) or a little less

BLOCKS = 16
#: Correlation of two crops' 16 x 16 block means from which on their pixels are compared.
LIKELY = 0.75
#: Correlation of two crops' pixels, at the best shift, from which on they show the same. Of AMi-Br's 6.9 million pairs
#: of different cells none comes above 0.93; a crop stays above 0.97 with itself when it is saved anew as JPEG, dimmed,
#: tinted, or shifted by 2 of its 128 px (by 4 px it may be missed).
SAME = 0.96
HOPELESS = 0.8  # correlation at whole px below which half px are not tried
SHIFT = 2  # px of 64
AT_ONCE = 2048
FLAT = 2.0  # grey levels: a picture with less contrast than that is like any other


def near_pairs(thumbs: NDArray[np.uint8], others: NDArray[np.uint8] | None = None) -> list[tuple[int, int, float]]:
    """Return (row, other row, correlation) of all pairs of crops that show the same, the most alike first.

    Args:
        thumbs: (n, 64, 64) grey.
        others: (m, 64, 64) of another dataset; None: the crops among themselves, each pair once.
    """
    found = []
    for one, other in _likely(thumbs, others):
        likeness = correlation(thumbs[one], (thumbs if others is None else others)[other])
        if likeness >= SAME:
            found.append((one, other, likeness))
    return sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1]))


def correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the correlation of two grey pictures (64, 64) at the shift, in steps of half a px, where it is highest."""
    whole = range(-SHIFT, SHIFT + 1)
    best, down, right = _best(one, other, product(whole, whole))
    if best < HOPELESS:
        return best
    mine, theirs = one.astype(np.float32), other[:-1, :-1]
    across, below = (mine[:, :-1] + mine[:, 1:]) / 2, (mine[:-1] + mine[1:]) / 2
    both = (below[:, :-1] + below[:, 1:]) / 2
    for halfway in (across[:-1], below[:, :-1], both):
        nearby = product((down - 1, down), (right - 1, right))
        best = max(best, _best(halfway, theirs, nearby)[0])
    return best


def _best(one: Picture, other: Picture, shifts: Iterable[tuple[int, int]]) -> tuple[float, int, int]:
    side, found = len(one), (-1.0, 0, 0)
    for down, right in shifts:
        mine = one[max(0, down) : side + min(0, down), max(0, right) : side + min(0, right)]
        theirs = other[max(0, -down) : side + min(0, -down), max(0, -right) : side + min(0, -right)]
        found = max(found, (_pearson(mine, theirs), down, right))
    return found


def _pearson(one: Picture, other: Picture) -> float:
    mine, theirs = (values.astype(np.float32) - values.mean(dtype=np.float32) for values in (one, other))
    scale = float(np.sqrt(np.vdot(mine, mine) * np.vdot(theirs, theirs)))
    return float(np.vdot(mine, theirs)) / scale if scale else 0.0


def _likely(thumbs: NDArray[np.uint8], others: NDArray[np.uint8] | None) -> Iterator[tuple[int, int]]:
    """Yield the pairs whose block means are alike."""
    mine = _means(thumbs)
    theirs = mine if others is None else _means(others)
    for top in range(0, len(mine), AT_ONCE):
        for left in range(top if others is None else 0, len(theirs), AT_ONCE):
            alike = mine[top : top + AT_ONCE] @ theirs[left : left + AT_ONCE].T
            for row, column in np.argwhere(alike >= LIKELY):
                one, other = int(top + row), int(left + column)
                if others is not None or one < other:
                    yield one, other


def _means(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (n, 256) block means, centred and of length 1; all 0 for a picture without contrast."""
    n, side = len(thumbs), thumbs.shape[1] // BLOCKS
    means = thumbs.reshape(n, BLOCKS, side, BLOCKS, side).mean((2, 4), dtype=np.float32).reshape(n, BLOCKS**2)
    means -= means.mean(axis=1, keepdims=True)
    length = np.linalg.norm(means, axis=1, keepdims=True)
    return np.where(length > FLAT * BLOCKS, means / np.maximum(length, 1e-6), 0.0).astype(np.float32)
