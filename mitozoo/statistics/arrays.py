"""The array types of the statistics, and what many columns of running sums need to be fast."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

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


#: The weights of a single replicate that holds every cell once, where all cells belong to unit 1.
ONCE = np.array([[0.0, 1.0]])


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


class OrderedCells:
    """Cells in an order, laid out so that running sums of many columns are fast.

    The cells are cut into blocks that advance together: cell k lies in row (k % size) * blocks + k // size. One step
    of all blocks is one addition of memory in a row, several times faster than `np.cumsum`.

    Attributes:
        units: (rows,) the unit of the cell in each row; 0, which weighs nothing, where there is none.
    """

    def __init__(self, units: Codes) -> None:
        self._size = max(1, math.isqrt(len(units)))
        self._blocks = -(-len(units) // self._size)
        self.units = self.lay_out(units)

    def lay_out(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values (n,) in the order of the rows, (rows,), and 0 where there is no cell."""
        padded = np.zeros(self._size * self._blocks, dtype=values.dtype)
        padded[: len(values)] = values
        return padded.reshape(self._blocks, self._size).T.ravel()

    def rows(self, cells: Codes) -> Codes:
        """Return the rows of the cells with these places in the order."""
        return cells % self._size * self._blocks + cells // self._size

    def accumulate(self, values: Floats) -> Floats:
        """Replace (rows, b) values by their running sums in the order of the cells, in place, and return them."""
        steps = values.reshape(self._size, self._blocks, -1)
        for step in range(1, self._size):
            steps[step] += steps[step - 1]
        steps[:, 1:] += np.cumsum(steps[-1, :-1], axis=0)
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
