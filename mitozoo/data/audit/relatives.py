"""What two datasets have in common: cases by declared lineage, cells by their place, crops by their pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mitozoo.data.audit.findings import AuditFinding, found
from mitozoo.data.audit.likeness import near_pairs
from mitozoo.data.lineage import shared_cases
from mitozoo.errors import SplitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.data.audit.crops import Crops
    from mitozoo.data.cells import Cells
    from mitozoo.plugins.dataset_spec import DatasetSpec

Rows = npt.NDArray[np.int64]
ONE_PLACE_PX = 12  # of two annotations of one cell, px; a nucleus is about 40 px wide
LEFT_OUT = "mitozoo eval --test-on leaves the shared cases out of training"
REFUSED = "neither can be tested on what was trained on the other: take another dataset"


def lineage_findings(cells: Cells, other: Cells, relations: Sequence[DatasetSpec]) -> list[AuditFinding]:
    """Return what declarations and places tell of two datasets; positions of the other's cells follow those of ours.

    Args:
        cells: the audited dataset.
        other: the one it is compared with.
        relations: specs of all datasets that are known here.
    """
    meaning = "the same tissue is in both: what was trained on one knows these cases of the other"
    try:
        pairs = shared_cases(cells, other, relations)
    except SplitError as error:
        return [AuditFinding("shared cases", None, "cases", "leak", error.message, REFUSED)]
    ours, theirs = (_rows_of(one) for one in (cells, other))
    first = [(ours[name][0], theirs[twin][0] + len(cells)) for name, twin in pairs]
    placed = [pair for name, twin in pairs for pair in _at_one_place(cells, other, ours[name], theirs[twin])]
    same = np.array(placed, dtype=np.int64).reshape(-1, 2)
    findings = [found("shared cases", "cases", "leak", meaning, LEFT_OUT, first)]
    shifted = same + np.array([0, len(cells)])
    findings.append(
        found("cells at one place in shared cases", "pairs", "note", "both datasets label this cell", LEFT_OUT, shifted)
    )
    if cells.spec.positive_class == other.spec.positive_class:
        differ = cells.labels[same[:, 0]] != other.labels[same[:, 1]]
        conflict = "both datasets label this cell, one positive and one negative"
        remedy = "know that the two labellings differ"
        findings.append(
            found("cells at one place with another label", "pairs", "warning", conflict, remedy, shifted[differ])
        )
    return findings


def likeness_findings(cells: Cells, crops: Crops, theirs: Crops) -> list[AuditFinding]:
    """Return the crops that two datasets share by their pixels, whatever is declared."""
    rows_of: dict[str, int] = {}
    for row, digest in zip(theirs.rows, theirs.digests, strict=True):
        rows_of.setdefault(digest, int(row))  # the first stands for all
    equal = [
        (int(row), rows_of[digest] + len(cells))
        for row, digest in zip(crops.rows, crops.digests, strict=True)
        if digest in rows_of
    ]
    ours_alone = np.array(
        [place for place, digest in enumerate(crops.digests) if digest not in rows_of], dtype=np.int64
    )
    near = [
        (int(crops.rows[ours_alone[one]]), int(theirs.rows[twin]) + len(cells))
        for one, twin, _ in near_pairs(crops.thumbs[ours_alone], theirs.thumbs)
    ]
    meaning = "the same picture is in both datasets"
    return [
        found("pixel-identical crops in both", "pairs", "leak", meaning, LEFT_OUT, equal),
        found("near-identical crops in both", "pairs", "leak", f"nearly {meaning}", LEFT_OUT, near),
    ]


def _rows_of(cells: Cells) -> dict[str, Rows]:
    """Return the rows of each name that a crosswalk may be about."""
    grouped = cells.table.groupby(cells.spec.group, sort=True).indices
    return {str(name): np.asarray(rows, dtype=np.int64) for name, rows in grouped.items()}


def _at_one_place(cells: Cells, other: Cells, ours: Rows, theirs: Rows) -> list[tuple[int, int]]:
    """Return the pairs of cells at one place in one case; none where it has several slides, each with its origin."""
    from scipy.spatial import cKDTree

    parts = (cells.table.iloc[ours], other.table.iloc[theirs])
    if any(part["slide"].nunique() > 1 for part in parts):
        return []
    places = [part[["x", "y"]].to_numpy(dtype=float) for part in parts]
    if not all(np.isfinite(one).all() for one in places):
        return []
    near = cKDTree(places[0]).query_ball_tree(cKDTree(places[1]), ONE_PLACE_PX, p=np.inf)
    return [(int(ours[one]), int(theirs[twin])) for one, twins in enumerate(near) for twin in twins]
