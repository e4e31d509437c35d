"""Rows divided into parts of whole groups with about the same share of both classes, in the same way for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from mitozoo.data.splits import Groups, Labels, Rows

EQUAL, EQUAL_NEAR_ZERO = 1e-5, 1e-8  # two parts are as good as each other within this share, or this much


def stratified_parts(labels: Labels, groups: Groups, count: int, seed: int) -> list[Rows]:
    """Divide rows into `count` parts of whole groups, each with both classes, which lie in `count` groups or more."""
    names, membership = np.unique(groups, return_inverse=True)
    order = np.arange(len(names))
    np.random.RandomState(seed).shuffle(order)
    cells = np.stack([np.bincount(membership[labels == label], minlength=len(names)) for label in (0, 1)])
    part_of_group = np.empty(len(names), dtype=np.int64)
    part_of_group[order] = _greedy_parts(cells[:, order].T.astype(float), count)
    _give_each_part_both_classes(part_of_group, cells, count)
    return [np.flatnonzero(part_of_group[membership] == part) for part in range(count)]


def _greedy_parts(cells: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Return the part of each group, (groups,), where a group holds that many cells of each class, (groups, 2).

    Group after group, the most uneven first, joins the part by which the classes' shares then differ least between
    parts; of equals, the part with fewest cells. It is what scikit-learn's StratifiedGroupKFold does without shuffling,
    written out because a split must not change with another library's version, and five times as fast.
    """
    each = np.arange(count)
    held = np.zeros((count, cells.shape[1]))
    in_all = cells.sum(0)
    part_of_group = np.empty(len(cells), dtype=np.int64)
    for group in np.argsort(-np.std(cells, axis=1), kind="stable"):
        joined = np.tile(held, (count, 1, 1))  # (part that it joins, part, class)
        joined[each, each] += cells[group]
        uneven = (joined / in_all).std(axis=1).mean(axis=1).tolist()
        sizes = held.sum(1).tolist()
        best = 0
        for part in range(1, count):
            equal = abs(uneven[part] - uneven[best]) <= EQUAL_NEAR_ZERO + EQUAL * uneven[best]
            if uneven[part] < uneven[best] or (equal and sizes[part] < sizes[best]):
                best = part
        held[best] += cells[group]
        part_of_group[group] = best
    return part_of_group


def _give_each_part_both_classes(part_of_group: Rows, cells: npt.NDArray[np.int64], count: int) -> None:
    """Move the smallest group that can be spared into each part that lacks a class; `cells` is (2, groups)."""
    holds = cells > 0
    for label in (0, 1):
        for part in range(count):
            having = [np.bincount(part_of_group, held, minlength=count) for held in holds]  # groups of a class by part
            if having[label][part]:
                continue
            spare = holds[label] & (having[label][part_of_group] > 1)
            spare &= ~holds[1 - label] | (having[1 - label][part_of_group] > 1)
            candidates = np.flatnonzero(spare)  # never empty: a part with two groups of a class can spare one of them
            part_of_group[candidates[np.argmin(cells.sum(0)[candidates])]] = part
