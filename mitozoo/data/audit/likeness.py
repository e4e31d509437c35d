"""Crops that show the same: compared by block means first, then, shifted against each other, by their pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BLOCKS = 16
#: Correlation of two crops' 16 x 16 block means from which on their pixels are compared.
LIKELY = 0.75
#: Correlation of two crops' pixels, at the best shift, from which on they show the same. Of AMi-Br's 6.9 million pairs
#: of different cells none comes above 0.93; a crop stays above 0.97 with itself when it is saved anew as JPEG, dimmed,
#: tinted, or shifted by 2 of its 128 px (by 4 px it may be missed).
SAME = 0.96
SHIFT = 2  # px of 64, in either direction
#: So many likely pairs are compared, the most alike first; of real tissue one in 100,000 is likely, of drawings more.
MOST = 5000
AT_ONCE = 2048
FLAT = 2.0  # grey levels: a picture with less contrast than that is like any other


def near_pairs(thumbs: NDArray[np.uint8], others: NDArray[np.uint8] | None = None) -> list[tuple[int, int, float]]:
    """Return (row, other row, correlation) of the pairs of crops that show the same, the most alike first.

    Args:
        thumbs: (n, 64, 64) grey.
        others: (m, 64, 64) of another dataset; None: the crops among themselves, each pair once.
    """
    likely = sorted(_likely(thumbs, others), key=lambda pair: (-pair[2], *pair[:2]))[:MOST]
    against = thumbs if others is None else others
    compared = [(one, other, correlation(thumbs[one], against[other])) for one, other, _ in likely]
    return sorted((pair for pair in compared if pair[2] >= SAME), key=lambda pair: (-pair[2], *pair[:2]))


def correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the correlation of two grey pictures (64, 64) at the shift, in steps of half a px, where it is highest.

    The middle of the one is compared with every place in the other.
    """
    rim = SHIFT + 1
    mine = one[rim:-rim, rim:-rim].astype(np.float32)
    mine -= mine.mean()
    theirs = other.astype(np.float32)
    theirs -= theirs.mean()
    across, below = (theirs[:, :-1] + theirs[:, 1:]) / 2, (theirs[:-1] + theirs[1:]) / 2
    both = (below[:, :-1] + below[:, 1:]) / 2
    best = -1.0
    for picture in (theirs, across, below, both):
        places = np.lib.stride_tricks.sliding_window_view(picture, mine.shape)
        windows: NDArray[np.float32] = places.reshape(-1, mine.size).astype(np.float32, copy=False)
        dot = windows @ mine.ravel()  # of centred pixels, whatever the windows' own means are
        spread = np.sqrt(np.maximum((windows**2).sum(1) - windows.sum(1) ** 2 / mine.size, 0) * np.vdot(mine, mine))
        best = max(best, float(np.max(dot / np.maximum(spread, 1e-6))))
    return min(best, 1.0)


def _likely(thumbs: NDArray[np.uint8], others: NDArray[np.uint8] | None) -> Iterator[tuple[int, int, float]]:
    """Yield the pairs whose block means are alike, with their correlation."""
    mine = _means(thumbs)
    theirs = mine if others is None else _means(others)
    for top in range(0, len(mine), AT_ONCE):
        for left in range(top if others is None else 0, len(theirs), AT_ONCE):
            alike = mine[top : top + AT_ONCE] @ theirs[left : left + AT_ONCE].T
            for row, column in np.argwhere(alike >= LIKELY):
                one, other = int(top + row), int(left + column)
                if others is not None or one < other:
                    yield one, other, float(alike[row, column])


def _means(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (n, 256) block means, centred and of length 1; all 0 for a picture without contrast."""
    n, side = len(thumbs), thumbs.shape[1] // BLOCKS
    means = thumbs.reshape(n, BLOCKS, side, BLOCKS, side).mean((2, 4), dtype=np.float32).reshape(n, BLOCKS**2)
    means -= means.mean(axis=1, keepdims=True)
    length = np.linalg.norm(means, axis=1, keepdims=True)
    return np.where(length > FLAT * BLOCKS, means / np.maximum(length, 1e-6), 0.0).astype(np.float32)
