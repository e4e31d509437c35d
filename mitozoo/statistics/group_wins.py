"""AUROC of any draw of groups, from a table of who wins between groups: thousands of draws are one matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mitozoo.statistics.arrays import Codes, Floats

_BLOCK = 2**22  # negative cells times groups at once: 32 MB


class GroupWins:
    """How often positive cells of each group outscore negative cells of each group; a tie is half a win.

    The AUROC of a draw is a quadratic form of this table. Half wins are whole numbers of halves, so whole weights give
    the same sums in whatever order a processor adds them.

    Args:
        scores: (n,) scores of the positive class.
        labels: (n,) 0 or 1.
        groups: (n,) codes 0, 1, ..., each of which occurs.
    """

    def __init__(self, scores: Floats, labels: Codes, groups: Codes) -> None:
        count = int(groups.max()) + 1
        positive = np.flatnonzero(labels == 1)
        positive = positive[np.argsort(groups[positive], kind="stable")]
        negative = np.flatnonzero(labels == 0)
        negative = negative[np.argsort(scores[negative], kind="stable")]
        self._positives = np.bincount(groups[positive], minlength=count).astype(float)
        self._negatives = np.bincount(groups[negative], minlength=count).astype(float)
        below, not_above = (np.searchsorted(scores[negative], scores[positive], side) for side in ("left", "right"))
        tied = (below != not_above).any()
        holding, first = np.unique(groups[positive], return_index=True)
        self._half_wins = np.zeros((count, count))
        width = max(1, _BLOCK // (len(negative) + 1))
        for start in range(0, count if len(positive) else 0, width):
            end = min(start + width, count)
            place = groups[negative]
            inside = np.flatnonzero((place >= start) & (place < end))
            so_many = np.zeros((len(negative) + 1, end - start), dtype=np.int64)  # of each group, among the lowest k
            so_many[inside + 1, place[inside] - start] = 1
            np.cumsum(so_many, axis=0, out=so_many)
            beaten = so_many[below] + (so_many[not_above] if tied else so_many[below])
            self._half_wins[holding, start:end] = np.add.reduceat(beaten, first, axis=0)

    def auroc(self, copies: Floats) -> Floats:
        """Return (b,) the AUROC of draws that hold so many copies (b, groups) of each; NaN where a class is lost."""
        half_wins = np.einsum("bg,bg->b", copies @ self._half_wins, copies)
        pairs = (copies @ self._positives) * (copies @ self._negatives)
        return np.divide(half_wins, 2 * pairs, out=np.full(len(copies), np.nan), where=pairs > 0)
