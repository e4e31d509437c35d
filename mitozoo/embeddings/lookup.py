"""Find many rows in many shards, in time that grows with the rows alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RowKeys = npt.NDArray[np.uint8]  # (n, 16): which pixels of which file were seen, see `PatchPlan.row_keys`


class Wanted:
    """Row keys that are looked for, sorted once, so that a shard costs no more than its own rows.

    Attributes:
        first: (u,) the first row of each different key.
        which: (n,) which of the keys each row has.
        found: (u,) whether a shard held the key.
    """

    def __init__(self, rows: RowKeys) -> None:
        self._keys, self.first, self.which = np.unique(_as_items(rows), return_index=True, return_inverse=True)
        self.found = np.zeros(len(self._keys), dtype=bool)

    def in_shard(self, rows: RowKeys) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the places in a shard of keys that were not found before, each once, and which keys these are."""
        if not len(self._keys):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        held = _as_items(rows)
        near = np.searchsorted(self._keys, held).clip(max=len(self._keys) - 1)
        places = np.flatnonzero((self._keys[near] == held) & ~self.found[near])
        keys, firsts = np.unique(near[places], return_index=True)
        return places[firsts], keys


class HeldRows:
    """A growing set of row keys, in sorted runs of which each is longer than the next: adding stays cheap."""

    def __init__(self) -> None:
        self._runs: list[npt.NDArray[np.void]] = []

    def add(self, rows: RowKeys) -> None:
        """Add row keys (m, 16)."""
        run = np.sort(_as_items(rows))
        while self._runs and len(self._runs[-1]) <= len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]))
        self._runs.append(run)

    def holds(self, rows: RowKeys) -> npt.NDArray[np.bool_]:
        """Return (n,) which of these rows were added."""
        asked = _as_items(rows)
        order = np.argsort(asked)  # neighbours are looked for near each other: memory is read once
        asked = asked[order]
        found = np.zeros(len(asked), dtype=bool)
        for run in self._runs:
            if len(run):
                found |= run[np.searchsorted(run, asked).clip(max=len(run) - 1)] == asked
        return found[np.argsort(order)]


def _as_items(rows: RowKeys) -> npt.NDArray[np.void]:
    return np.ascontiguousarray(rows).view("V16").reshape(-1)
