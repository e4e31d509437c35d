"""Splits that cannot leak: outer folds, label fractions and inner folds, each made of whole groups.

All functions work on two parallel arrays, labels (n,) of 0/1 and groups (n,) of names, and on rows, integer
positions in them, so that `mitozoo verify` can repeat every split from a run's own files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mitozoo.errors import SplitError

Rows = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int8]
Groups = npt.NDArray[np.str_]

FALLBACK_INNER_FOLDS = (5, 3, 2)


@dataclass(frozen=True)
class Fold:
    """One division into training and test rows."""

    index: int
    train: Rows
    test: Rows


class NotEnoughLabels(Exception):  # noqa: N818 - an outcome of a row, which the result records; no user's error
    """The drawn cells cannot train a classifier; the message is the row's recorded reason."""


def outer_folds(
    labels: Labels, groups: Groups, official: npt.NDArray[np.str_], *, recipe: str, folds: int, seed: int
) -> list[Fold]:
    """Return the official split as one fold, or `folds` grouped, stratified folds that test each row once.

    Args:
        labels: (n,) 0 or 1.
        groups: (n,) names of what must never be divided.
        official: (n,) 'train', 'test' or '' where the dataset has no official split.
        recipe: 'official', 'grouped', or 'auto' for the official split where there is one.
        folds: number of grouped folds.
        seed: fixed by the protocol, the same for every model.

    Raises:
        SplitError: there is no official split, or it divides a group, or there are too few groups.
    """
    has_official = bool((official != "").any())
    if recipe == "official" and not has_official:
        raise SplitError("this dataset has no official split", hint="Use --set split=grouped.")
    if has_official and recipe != "grouped":
        made = [Fold(0, np.flatnonzero(official == "train"), np.flatnonzero(official == "test"))]
    else:
        made = _grouped_folds(labels, groups, folds, seed)
    for fold in made:
        _require_sound(fold, labels, groups)
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
    budget = round(fraction * len(train))
    order = _drawing_order(labels, groups, np.sort(train), seed, by)
    rows = np.sort(order[:budget])
    for label, word in ((1, "positive"), (0, "negative")):
        of_class = rows[labels[rows] == label]
        n_groups = len(np.unique(groups[of_class]))
        if len(of_class) < 2 or n_groups < 2:
            raise NotEnoughLabels(
                f"{len(rows)} training cells hold {len(of_class)} {word} cells in {n_groups} groups; needed are 2 in 2"
            )
    return rows


def smallest_fraction(labels: Labels, groups: Groups, train: Rows, *, seed: int, by: str) -> float:
    """Return the smallest fraction that `draw` accepts, rounded up to three digits; 1.0 where none below does."""
    low, high = 0, len(train)
    while low < high:  # more cells never hold fewer groups or classes
        budget = (low + high) // 2
        try:
            draw(labels, groups, train, fraction=budget / len(train), seed=seed, by=by)
            high = budget
        except NotEnoughLabels:
            low = budget + 1
    return min(1.0, float(np.ceil(1000 * high / len(train)) / 1000))


def sample_groups(labels: Labels, groups: Groups, count: int, *, seed: int) -> Rows:
    """Return `count` rows in whole groups (the last may be cut), stratified like a label budget."""
    return np.sort(_drawing_order(labels, groups, np.arange(len(labels)), seed, "groups")[:count])


def inner_folds(labels: Labels, groups: Groups, rows: Rows, *, folds: int, seed: int) -> list[Rows]:
    """Divide drawn rows into held-out parts of whole groups; an empty list where not even 2 folds can be made.

    With fewer groups of a class than `folds`, 3 or 2 parts are made. Every complement holds both classes.
    """
    for count in dict.fromkeys((folds, *FALLBACK_INNER_FOLDS)):
        if count > folds or min(_groups_of_class(labels, groups, rows)) < count:
            continue
        parts = _stratified_parts(labels[rows], groups[rows], count, seed)
        held_out = [rows[part] for part in parts]
        complements = [np.setdiff1d(rows, part) for part in held_out]
        if all(len(np.unique(labels[rest])) == 2 for rest in complements):
            return held_out
    return []


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
            else "All cells of one class lie in one group, so no split without a leak exists.",
        )
    parts = _stratified_parts(labels, groups, folds, seed)
    return [Fold(index, np.setdiff1d(every, test), test) for index, test in enumerate(parts)]


def _stratified_parts(labels: Labels, groups: Groups, count: int, seed: int) -> list[Rows]:
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
    return [test for _, test in splitter.split(np.zeros(len(labels)), labels, groups)]


def _require_sound(fold: Fold, labels: Labels, groups: Groups) -> None:
    shared = np.intersect1d(groups[fold.train], groups[fold.test])
    if len(shared):
        raise SplitError(f"the split divides {len(shared)} groups between train and test, among them '{shared[0]}'")
    for side, rows in (("training", fold.train), ("test", fold.test)):
        if len(np.unique(labels[rows])) < 2:
            raise SplitError(f"fold {fold.index}: the {side} side holds cells of one class only")


def _drawing_order(labels: Labels, groups: Groups, train: Rows, seed: int, by: str) -> Rows:
    """Order training rows so that each prefix holds about the same mix of group kinds."""
    random = np.random.default_rng([seed, len(train)])
    shuffled = random.permutation(train)
    if by == "cells":
        return shuffled
    names, membership = np.unique(groups[train], return_inverse=True)
    rate = np.bincount(membership, labels[train], minlength=len(names)) / np.bincount(membership, minlength=len(names))
    stratum = np.where(rate == 0, 0, np.where(rate == 1, 1, 2))
    place = np.empty(len(names))
    for kind in range(3):  # interleave the strata in proportion to their size
        members = random.permutation(np.flatnonzero(stratum == kind))
        place[members] = (np.arange(len(members)) + random.random()) / max(1, len(members))
    place_of_group = dict(zip(names, place, strict=True))
    return shuffled[np.argsort([place_of_group[group] for group in groups[shuffled]], kind="stable")]
