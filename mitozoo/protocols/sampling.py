"""Which cells an epoch shows, and in which order: drawn by lot, so that a rare class is seen as often as the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from mitozoo.data.splits import Groups, Labels, Rows


@dataclass(frozen=True)
class Draw:
    """All that is left to chance in one epoch.

    Attributes:
        epoch: from 0.
        batches: the rows of each step.
        view_seed: of the random views.
        network_seed: of dropout and stochastic depth.
    """

    epoch: int
    batches: list[Rows]
    view_seed: int
    network_seed: int


def classes_alike(fitted: Rows, labels: Labels, count: int, random: np.random.Generator) -> Rows:
    """Return `count` rows, each class half of them; the rarer class repeats, none is left out for long."""
    halves = []
    for label, size in ((1, count // 2), (0, count - count // 2)):
        rows = fitted[labels[fitted] == label]
        rounds = [random.permutation(rows) for _ in range(math.ceil(size / len(rows)))]
        halves.append(np.concatenate(rounds)[:size])
    return random.permutation(np.concatenate(halves))


def groups_alike(fitted: Rows, labels: Labels, groups: Groups, count: int, random: np.random.Generator) -> Rows:
    """Return `count` rows: a group uniformly, then one of its cells of a class drawn by a fair coin.

    Where a group has no cell of that class, it is one of the other.
    """
    names, membership = np.unique(groups[fitted], return_inverse=True)
    own = labels[fitted]
    cells: list[list[npt.NDArray[np.int64]]] = [
        [fitted[(membership == group) & (own == label)] for label in (0, 1)] for group in range(len(names))
    ]
    drawn = zip(
        random.integers(len(names), size=count), random.integers(2, size=count), random.random(count), strict=True
    )
    rows = np.empty(count, dtype=np.int64)
    for place, (group, label, where) in enumerate(drawn):
        candidates = cells[group][label] if len(cells[group][label]) else cells[group][1 - label]
        rows[place] = candidates[int(where * len(candidates))]
    return rows
