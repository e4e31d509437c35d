"""What an audit found, each kind with its count, examples, what it means, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from mitozoo.data.audit.likeness import near_pairs
from mitozoo.data.audit.split import close_pairs, equal_sets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.data.audit.crops import Crops
    from mitozoo.data.cells import Cells

Rows = npt.NDArray[np.int64]
#: 'leak': a number on this split would be untrue; 'warning': judge the examples; 'note': know it; 'none': looked, found
#: nothing; 'not looked at': what is needed is not here.
Severity = Literal["leak", "warning", "note", "none", "not looked at"]
EXAMPLES = 8
UNIFORM_PX = 2  # rows or columns of one colour that make a border


@dataclass(frozen=True)
class AuditFinding:
    """One kind of finding.

    Attributes:
        kind: its name, such as 'group leaks'.
        count: how many; None where it was not looked at, or cannot be told.
        unit: what is counted.
        severity: see `Severity`.
        meaning: what it means for a number.
        remedy: what to do about it.
        examples: the first few, each a group of cells that belong together, as positions in the audited cells.
    """

    kind: str
    count: int | None
    unit: str
    severity: Severity
    meaning: str
    remedy: str
    examples: tuple[tuple[int, ...], ...] = ()

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the finding as plain JSON values, examples by the cells' names."""
        return asdict(self) | {"examples": [[names[row] for row in example] for example in self.examples]}


def found(
    kind: str, unit: str, severity: Severity, meaning: str, remedy: str, rows: npt.ArrayLike, count: int | None = None
) -> AuditFinding:
    """Return a finding of some groups of rows, 'none' where there are no such groups.

    Args:
        kind: its name.
        unit: what is counted.
        severity: where something was found.
        meaning: what it means for a number.
        remedy: what to do about it.
        rows: (k, m) positions, or k lists of them.
        count: in place of the number of groups.
    """
    groups = [tuple(int(row) for row in np.atleast_1d(group)) for group in rows]  # type: ignore[union-attr]
    number = len(groups) if count is None else count
    examples = tuple(groups[:EXAMPLES])
    return AuditFinding(kind, number, unit, severity if number else "none", meaning, remedy, examples)


def not_looked_at(kind: str, unit: str, why: str, remedy: str) -> AuditFinding:
    """Return a finding about what could not be looked at."""
    return AuditFinding(kind, None, unit, "not looked at", why, remedy)


def split_findings(
    cells: Cells, folds: Sequence[tuple[Rows, Rows]], sides: npt.NDArray[np.float64]
) -> list[AuditFinding]:
    """Return what labels and places alone tell: groups, overlaps, crops with another centre, one-class groups.

    Args:
        cells: the cells.
        folds: training and test rows of each fold.
        sides: (n,) side of each window, px at full resolution; 0 where it is not known.
    """
    labels, groups = cells.labels, cells.groups
    overlaps, holds = close_pairs(cells, sides)
    divided = across(overlaps, folds, len(cells))
    shared = [pair for train, test in folds for pair in _shared_groups(groups, train, test)]
    positive_inside = holds[(labels[holds[:, 0]] == 0) & (labels[holds[:, 1]] == 1)]
    first = np.unique(positive_inside[:, 0], return_index=True)[1]
    names, membership = np.unique(groups[groups != ""], return_inverse=True)
    rate = np.bincount(membership, labels[groups != ""]) / np.maximum(np.bincount(membership), 1)
    one_class = np.flatnonzero((rate == 0) | (rate == 1))
    level = cells.group_level
    return [
        found(
            "group leaks", f"{level}s", "leak",
            f"a {level} lies on both sides of the split: the test side holds tissue that was trained on",
            "mend the split, so that each is on one side; or --split grouped", shared,
        ),
        found(
            "overlapping crops across the split", "pairs", "leak",
            "a training crop and a test crop show the same pixels",
            f"make one {level} of what shows the same tissue, or take a smaller window", divided,
        ),
        found(
            "overlapping crops", "pairs", "note",
            "neighbouring cells see each other; harmless while they stay on one side of the split",
            f"keep them in one {level}", overlaps,
        ),
        found(
            "negative crops that show a positive's centre", "cells", "warning",
            "such a negative also shows what it is told from: an encoder that sees it is right and counted as wrong",
            "take a smaller window with --crop-um, or leave these cells out", positive_inside[first],
        ),
        found(
            "one-class groups", f"{level}s", "note",
            "no ranking is possible inside such a group: within-slide AUROC leaves it out",
            "know it when you read within-slide numbers",
            [int(np.flatnonzero(groups == names[one])[0]) for one in one_class],
        ),
    ]  # fmt: skip


def pixel_findings(
    cells: Cells, folds: Sequence[tuple[Rows, Rows]], crops: Crops, overlaps: Rows
) -> list[AuditFinding]:
    """Return what only pixels tell: equal and nearly equal crops, their labels, and borders of one colour.

    Args:
        cells: the cells.
        folds: training and test rows of each fold.
        crops: what was seen of them, or of some.
        overlaps: (k, 2) pairs whose windows overlap: that they look alike is no news.
    """
    labels = cells.labels
    sets = [crops.rows[places] for places in equal_sets(crops.digests)]
    equal = [(int(rows[0]), int(other)) for rows in sets for other in rows[1:]]  # the first stands for all
    single = np.unique(crops.digests, return_index=True)[1]
    rows_of = crops.rows[np.sort(single)]
    near = [(int(rows_of[one]), int(rows_of[other])) for one, other, _ in near_pairs(crops.thumbs[np.sort(single)])]
    overlapping = {(min(pair), max(pair)) for pair in overlaps.tolist()}
    near = [pair for pair in near if pair not in overlapping]
    alike = np.array(equal + near, dtype=np.int64).reshape(-1, 2)
    conflicting = alike[labels[alike[:, 0]] != labels[alike[:, 1]]]
    uniform = crops.rows[np.argsort(-crops.borders, kind="stable")][: int(np.sum(crops.borders >= UNIFORM_PX))]
    return [
        found(
            "duplicates across the split", "pairs", "leak",
            "a training crop and a test crop show the same cell, in different groups",
            "find out which place is right, and give both cells one group", across(alike, folds, len(cells)),
        ),
        found(
            "pixel-identical crops", "sets", "warning", "one cell counts several times",
            "leave all but one of them out", sets,
        ),
        found(
            "near-identical crops", "pairs", "warning",
            "one cell, saved anew, recoloured or moved by a few pixels, counts twice",
            "look at the picture (--picture), and leave one of the two out", near,
        ),
        found(
            "duplicates with conflicting labels", "pairs", "warning", "the same cell is both positive and negative",
            "ask the owner of the data which label is right", conflicting,
        ),
        found(
            "borders of one colour", "cells", "warning",
            f"{UNIFORM_PX} or more whole rows or columns of the crop are of one colour: padding, or empty glass",
            "look at the picture; where it is padding, it tells the network where the cell lay", uniform,
        ),
    ]  # fmt: skip


def across(pairs: Rows, folds: Sequence[tuple[Rows, Rows]], n: int) -> Rows:
    """Return those pairs (k, 2) that stand on different sides of any fold."""
    divided = np.zeros(len(pairs), dtype=bool)
    for train, test in folds:
        side = np.zeros(n, dtype=np.int8)
        side[train], side[test] = 1, 2
        divided |= side[pairs].prod(axis=1) == 2  # one in training, one in test
    return pairs[divided]


def _shared_groups(groups: npt.NDArray[np.str_], train: Rows, test: Rows) -> list[tuple[int, int]]:
    """Return a training and a test cell of each group that is on both sides."""
    shared = np.intersect1d(groups[train], groups[test])
    return [
        (int(train[np.argmax(groups[train] == name)]), int(test[np.argmax(groups[test] == name)]))
        for name in shared
        if name
    ]
