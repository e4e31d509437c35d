"""Splits that cannot leak: outer folds, label fractions and inner folds, each made of whole groups.

All functions work on two parallel arrays, labels (n,) of 0/1 and groups (n,) of names, and on rows, integer
positions in them, so that `mitozoo verify` can repeat every split from a run's own files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mitozoo.data.stratification import stratified_parts
from mitozoo.errors import SplitError

if TYPE_CHECKING:
    from collections.abc import Sequence

Rows = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int8]
Groups = npt.NDArray[np.str_] | npt.NDArray[np.int64]  # names, or numbers in the order of the names

FALLBACK_INNER_FOLDS = (5, 3, 2)
#: Kinds of protocol that train a network, and so but once: the first inner fold alone validates.
TRAINING_KINDS = frozenset({"end-to-end", "lora", "last-blocks", "ammeling2026-tuning"})
#: Kinds that hold out nothing: they repeat a study which chose nothing by groups, and its threshold is 0.5.
UNVALIDATED_KINDS = frozenset({"ammeling2026-probe", "ammeling2026-tuning"})


@dataclass(frozen=True)
class Fold:
    """One division into training and test rows.

    Attributes:
        index: its place among the run's folds.
        train: training rows, ascending.
        test: test rows, ascending.
        name: what it leaves out or trains on, such as 'tumour=canine lymphoma'.
        reference_for: index of the fold whose test cells it scores after a training that saw the left-out domain too.
        trained_on: the one domain value that it trains on.
    """

    index: int
    train: Rows
    test: Rows
    name: str = ""
    reference_for: int | None = None
    trained_on: str = ""


class NotEnoughLabels(Exception):  # noqa: N818 - an outcome of a row, which the result records; no user's error
    """The drawn cells cannot train a classifier; the message is the row's recorded reason."""


def outer_folds(
    labels: Labels,
    groups: Groups,
    official: npt.NDArray[np.str_],
    *,
    recipe: str,
    folds: int,
    seed: int,
    names: Sequence[str] = (),
) -> list[Fold]:
    """Return the official split as one fold, or `folds` grouped, stratified folds that test each row once.

    Args:
        labels: (n,) 0 or 1.
        groups: (n,) what must never be divided.
        official: (n,) 'train', 'test' or '' where the dataset has no official split.
        recipe: 'official', 'grouped', or 'auto' for the official split where there is one.
        folds: number of grouped folds.
        seed: fixed by the protocol, the same for every model.
        names: of the groups, where these are numbers.

    Raises:
        SplitError: there is no official split, or it divides a group, or there are too few groups.
    """
    has_official = bool((official != "").any())  # its cells without a side are neither trained on nor tested
    if recipe == "official" and not has_official:
        raise SplitError("this dataset has no official split", hint="Use --set split=grouped.")
    if has_official and recipe != "grouped":
        made = [Fold(0, np.flatnonzero(official == "train"), np.flatnonzero(official == "test"))]
    else:
        made = _grouped_folds(labels, groups, folds, seed)
    for fold in made:
        _require_sound(fold, labels, groups, names)
    return made


def draw(labels: Labels, groups: Groups, train: Rows, *, fraction: float, seed: int, by: str) -> Rows:
    """Return the training rows of a label budget: a prefix of a fixed order, so fractions are nested within a seed.

    Args:
        labels: (n,) 0 or 1.
        groups: (n,) group names.
        train: training rows of an outer fold.
        fraction: share of the training cells, 0 < fraction <= 1.
        seed: moves the order.
        by: 'groups' fills the budget by whole groups (the last may be cut); 'cells' samples cells.

    Raises:
        NotEnoughLabels: fewer than 2 groups or 2 cells of a class were drawn.
    """
    order = _drawing_order(labels, groups, np.sort(train), seed, by)
    rows = np.sort(order[: round(fraction * len(train))])
    for label, word in ((1, "positive"), (0, "negative")):
        of_class = rows[labels[rows] == label]
        n_groups = len(np.unique(groups[of_class]))
        if n_groups < 2:  # two groups hold two cells
            raise NotEnoughLabels(
                f"{len(rows)} training cells hold {len(of_class)} {word} cells in {n_groups} groups; needed are 2 in 2"
            )
    return rows


def smallest_fraction(labels: Labels, groups: Groups, train: Rows, *, seed: int, by: str) -> float:
    """Return the smallest fraction, rounded up to three digits, that `draw` accepts; 1.0 where it accepts none."""
    order = _drawing_order(labels, groups, np.sort(train), seed, by)
    needed = 0
    for label in (0, 1):
        of_class = np.flatnonzero(labels[order] == label)
        names = groups[order[of_class]]
        in_second_group = of_class[names != names[:1]]
        needed = max(needed, int(in_second_group[0]) + 1 if len(in_second_group) else len(order))
    return math.ceil(1000 * needed / len(order)) / 1000


def in_drawing_order(labels: Labels, groups: Groups, rows: Rows, seed: int) -> Rows:
    """Return rows group by group in a fixed shuffled order, so that each prefix is a sample of whole groups."""
    return _drawing_order(labels, groups, np.sort(rows), seed, "groups") if len(rows) else rows


def sample_groups(labels: Labels, groups: Groups, count: int, *, seed: int) -> Rows:
    """Return `count` rows in whole groups (the last may be cut), stratified like a label budget."""
    return np.sort(_drawing_order(labels, groups, np.arange(len(labels)), seed, "groups")[:count])


def inner_folds(labels: Labels, groups: Groups, rows: Rows, *, folds: int, seed: int) -> list[Rows]:
    """Divide drawn rows into held-out parts of whole groups; an empty list where not even 2 folds can be made.

    Every part holds both classes. With fewer groups of a class than `folds`, 3 or 2 parts are made.
    """
    fewest = min(_groups_of_class(labels, groups, rows))
    count = next((count for count in (folds, *FALLBACK_INNER_FOLDS) if count <= min(folds, fewest)), None)
    if count is None:
        return []
    return [rows[part] for part in stratified_parts(labels[rows], groups[rows], count, seed)]


def held_out_parts(labels: Labels, groups: Groups, rows: Rows, *, kind: str, folds: int, seed: int) -> list[Rows]:
    """Return what a kind of protocol holds out of its drawn rows: every inner fold, the first alone, or nothing."""
    if kind in UNVALIDATED_KINDS:
        return []
    parts = inner_folds(labels, groups, rows, folds=folds, seed=seed)
    return parts[:1] if kind in TRAINING_KINDS else parts


def _groups_of_class(labels: Labels, groups: Groups, rows: Rows) -> tuple[int, int]:
    return tuple(len(np.unique(groups[rows][labels[rows] == label])) for label in (0, 1))  # type: ignore[return-value]


def _grouped_folds(labels: Labels, groups: Groups, folds: int, seed: int) -> list[Fold]:
    every = np.arange(len(labels))
    fewest = min(_groups_of_class(labels, groups, every))
    if folds < 2 or fewest < folds:
        raise SplitError(
            f"{folds} grouped folds need {folds} groups of each class; there are only {fewest} of the rarer class",
            hint=f"Use --set outer_folds={max(2, fewest)} (another protocol), or data with more cases."
            if fewest >= 2
            else "All cells of one class lie in one group, so no split without a leak exists. Where a case has several "
            "images, --group image divides those, and marks the result 'not independent'.",
        )
    parts = stratified_parts(labels, groups, folds, seed)
    return [Fold(index, np.setdiff1d(every, test), test) for index, test in enumerate(parts)]


def _require_sound(fold: Fold, labels: Labels, groups: Groups, names: Sequence[str]) -> None:
    shared = np.intersect1d(groups[fold.train], groups[fold.test])
    if len(shared):
        first = names[shared[0]] if names else shared[0]
        raise SplitError(f"the split divides {len(shared)} groups between train and test, among them '{first}'")
    for side, rows in (("training", fold.train), ("test", fold.test)):
        if len(np.unique(labels[rows])) < 2:
            held = "cells of one class only" if len(rows) else "no cells"
            raise SplitError(f"fold {fold.index}: the {side} side holds {held}", hint="Try --set split=grouped.")


def _drawing_order(labels: Labels, groups: Groups, train: Rows, seed: int, by: str) -> Rows:
    """Order training rows so that each prefix holds about the same mix of group kinds."""
    random = np.random.RandomState([seed, len(train)])  # its stream, unlike a Generator's, is promised never to change
    shuffled = random.permutation(len(train))
    if by == "cells":
        return train[shuffled]
    names, membership = np.unique(groups[train], return_inverse=True)
    rate = np.bincount(membership, labels[train]) / np.bincount(membership)
    stratum = np.where(rate == 0, 0, np.where(rate == 1, 1, 2))
    place = np.empty(len(names))
    for kind in range(3):  # interleave the strata in proportion to their size
        members = random.permutation(np.flatnonzero(stratum == kind))
        place[members] = (np.arange(len(members)) + random.random_sample()) / max(1, len(members))
    return train[shuffled[np.argsort(place[membership[shuffled]], kind="stable")]]
