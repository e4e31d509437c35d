"""What could make a split's numbers untrue: shared groups, overlapping crops, duplicates, crops with two centres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mitozoo.errors import SplitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mitozoo.data.cells import Cells

Rows = npt.NDArray[np.int64]
PixelHashes = Sequence[str] | npt.NDArray[np.uint8]  # of each cell a text, or (n, 16)
LISTED = 20


def audit_split(
    cells: Cells,
    folds: Sequence[tuple[Rows, Rows]],
    *,
    side_px: int | npt.NDArray[np.int64],
    pixel_hashes: PixelHashes | None,
    beyond_border: npt.NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    """Return, as plain JSON values, what a reader of the numbers must know about a split.

    Args:
        cells: the cells.
        folds: training and test rows of each fold.
        side_px: side of the window at full resolution, px; one number, or (n,).
        pixel_hashes: a digest of each cell's pixels, equal where the pixels are equal; None: not looked at.
        beyond_border: (n,) whether the window reaches beyond the slide; None: not known.
    """
    labels, ids = cells.labels, cells.table["cell_id"].to_numpy()
    groups = cells.group_codes
    sides = np.broadcast_to(np.asarray(side_px, dtype=float), len(cells))
    overlaps, holds = close_pairs(cells, sides)
    duplicates = equal_sets(pixel_hashes)
    per_fold = []
    for train, test in folds:
        on_train, on_test = _mask(len(cells), train), _mask(len(cells), test)
        shared = np.intersect1d(groups[on_train], groups[on_test])
        per_fold.append(
            {
                "groups_on_both_sides": int(shared.size),
                "overlapping_crops_across_sides": _across(overlaps, on_train, on_test),
                "duplicate_sets_across_sides": int(sum(on_train[s].any() and on_test[s].any() for s in duplicates)),
            }
        )
    same = labels[holds[:, 0]] == labels[holds[:, 1]]
    positives, sizes = np.bincount(groups, weights=labels), np.bincount(groups)
    return {
        "cells": len(cells),
        "groups": len(sizes),
        "group_level": cells.group_level,
        "folds": per_fold,
        "single_class_groups": int(np.sum((positives == 0) | (positives == sizes))),
        "overlapping_crops": len(overlaps),
        "crops_with_another_centre_of_same_class": np.unique(holds[same, 0]).size,
        "crops_with_another_centre_of_opposite_class": np.unique(holds[~same, 0]).size,
        "windows_beyond_border": None if beyond_border is None else int(np.sum(beyond_border)),
        "pixel_duplicates": None if pixel_hashes is None else _listed(duplicates, ids),
        "pixel_duplicates_with_conflicting_labels": None
        if pixel_hashes is None
        else _listed([rows for rows in duplicates if np.ptp(labels[rows])], ids),
    }


def require_no_leak(audit: Mapping[str, Any]) -> None:
    """Raise `SplitError` if a group, or pixels of one place, stand on both sides of any fold."""
    for number, fold in enumerate(audit["folds"]):
        for found, what in (
            (fold["groups_on_both_sides"], f"{audit['group_level']}s stand on both sides"),
            (fold["overlapping_crops_across_sides"], "pairs of crops overlap across the sides"),
        ):
            if found:
                raise SplitError(f"fold {number} leaks from training to test: {found:,} {what}")


def _mask(length: int, rows: Rows) -> npt.NDArray[np.bool_]:
    mask = np.zeros(length, dtype=bool)
    mask[rows] = True
    return mask


def _across(pairs: Rows, train: npt.NDArray[np.bool_], test: npt.NDArray[np.bool_]) -> int:
    one, other = pairs[:, 0], pairs[:, 1]
    return int(np.sum((train[one] & test[other]) | (test[one] & train[other])))


def close_pairs(cells: Cells, sides: npt.NDArray[np.float64]) -> tuple[Rows, Rows]:
    """Return pairs of one slide: (m, 2) whose windows overlap, and (k, 2) where the first's window holds the second.

    Args:
        cells: the cells.
        sides: (n,) side of each window at full resolution, px; 0 where it is not known.
    """
    import pandas as pd  # here, since whoever prints a stored result imports this module and needs no table
    from scipy.spatial import cKDTree

    centres = cells.table[["x", "y"]].to_numpy(dtype=float)
    found = [np.empty((0, 2), dtype=np.int64)]
    placed = np.flatnonzero(np.isfinite(centres).all(axis=1))  # of a released patch nobody may tell the place
    slides = cells.table["slide"].iloc[placed]
    for places in slides.groupby(pd.factorize(slides)[0], sort=False).indices.values():
        rows = placed[places]
        near = cKDTree(centres[rows]).query_pairs(sides[rows].max(), p=np.inf, output_type="ndarray")
        found.append(rows[near])
    pairs = np.concatenate(found)
    apart = np.abs(centres[pairs[:, 0]] - centres[pairs[:, 1]]).max(axis=1)
    both_ways = np.concatenate([pairs, pairs[:, ::-1]])
    return (
        pairs[apart < sides[pairs].mean(axis=1)],
        both_ways[np.tile(apart, 2) < sides[both_ways[:, 0]] / 2],
    )


def equal_sets(pixel_hashes: PixelHashes | None) -> list[Rows]:
    """Return the rows of each set of cells whose pixels have equal digests, the sets in the order of their first."""
    if pixel_hashes is None:
        return []
    digests = np.asarray(pixel_hashes)
    items = digests if digests.ndim == 1 else np.ascontiguousarray(digests).view("V16").reshape(-1)
    _, which, times = np.unique(items, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(times[which] > 1)
    by_digest = repeated[np.argsort(which[repeated], kind="stable")]
    sets = np.split(by_digest, np.flatnonzero(np.diff(which[by_digest])) + 1) if len(by_digest) else []
    return sorted(sets, key=lambda rows: int(rows[0]))


def _listed(duplicates: list[Rows], ids: npt.NDArray[Any]) -> dict[str, Any]:
    return {
        "sets": len(duplicates),
        "cells": sum(map(len, duplicates)),
        "first": [[str(ids[row]) for row in rows] for rows in duplicates[:LISTED]],
    }
