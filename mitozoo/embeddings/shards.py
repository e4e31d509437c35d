"""Which cells lie in one shard of the cache: neighbours, in whole files where these are not too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mitozoo.data.patches import PatchPlan

    Rows = npt.NDArray[np.int64]

SHARD_CELLS = 1024


def shards(plan: PatchPlan) -> list[Rows]:
    """Return rows by shard, in reading order: whole files up to `SHARD_CELLS` cells, a larger file in pieces.

    Batches never cross a shard, so that a resumed extraction meets the same batches as an undisturbed one.
    """
    order = plan.reading_order()
    files = plan.file_index[order]
    pieces: list[Rows] = []
    for rows in np.split(order, np.flatnonzero(np.diff(files)) + 1):
        pieces.extend(np.split(rows, range(SHARD_CELLS, len(rows), SHARD_CELLS)))
    made: list[list[Rows]] = []
    for piece in pieces:
        if made and sum(map(len, made[-1])) + len(piece) <= SHARD_CELLS:
            made[-1].append(piece)
        else:
            made.append([piece])
    return [np.concatenate(shard) for shard in made]
