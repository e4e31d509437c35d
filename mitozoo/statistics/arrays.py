"""The array types of the statistics, and what many columns of running sums need to be fast."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.intp]


def codes(values: ArrayLike) -> Codes:
    """Return which distinct value, in sorted order, each entry is: 0, 1, ..."""
    return np.unique(np.asarray(values), return_inverse=True)[1].astype(np.intp)


class Workspace:
    """Arrays that are filled again and again: fresh memory costs more than the sums that are put there."""

    def __init__(self) -> None:
        self._kept: dict[str, Floats] = {}

    def array(self, name: str, rows: int, columns: int) -> Floats:
        """Return the array of that name, (rows, columns), its content undefined."""
        if name not in self._kept or self._kept[name].size < rows * columns:
            self._kept[name] = np.empty(rows * columns)
        return self._kept[name][: rows * columns].reshape(rows, columns)

    def rows(self, name: str, source: Floats, chosen: Codes) -> Floats:
        """Return the chosen rows of (k, b) in the array of that name, (len(chosen), b)."""
        target = self.array(name, len(chosen), source.shape[1])
        return np.take(source, chosen, axis=0, out=target, mode="clip")  # 'raise' would fill a copy first


def running_sums(values: Floats) -> Floats:
    """Replace (n, b) values by their running sums down the rows, in place, and return them.

    All blocks of rows advance together, which is several times faster than `np.cumsum` along the first axis.
    """
    size = max(1, math.isqrt(len(values)))
    whole = len(values) // size * size
    blocks = values[:whole].reshape(-1, size, values.shape[1])
    for row in range(1, size):
        blocks[:, row] += blocks[:, row - 1]
    blocks[1:] += np.cumsum(blocks[:-1, -1], axis=0)[:, None]
    if whole < len(values):
        values[whole:] = values[whole - 1] + np.cumsum(values[whole:], axis=0)
    return values


def count_below(value_at: Callable[[Codes], Floats], rows: int, limits: Floats) -> Codes:
    """Return how many of the rising values of each column lie below its limits (m, b): `searchsorted` by column.

    Args:
        value_at: the values at rows (m, b), column by column.
        rows: how many values a column has, at least 1.
        limits: (m, b).
    """
    low, high = np.zeros(limits.shape, dtype=np.intp), np.full(limits.shape, rows)
    for _ in range(rows.bit_length()):
        middle = (low + high) // 2
        below = (low < high) & (value_at(np.minimum(middle, rows - 1)) < limits)
        low = np.where(below, middle + 1, low)
        high = np.where(below, high, middle)
    return low
