"""How well counts of candidates agree, region by region: on the log scale, and at cut-offs whose source is stated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mitozoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from mitozoo.statistics.arrays import Floats

WITHIN = 1.96  # standard deviations on each side hold 95 % of a normal sample
AREA_TOLERANCE = 0.1  # share by which a region's area may differ from that of cut-offs


@dataclass(frozen=True)
class LogAgreement:
    """Differences of log(count + 1), predicted minus true, over regions.

    Attributes:
        regions: how many.
        bias: their mean; exp(bias) is the factor by which counts + 1 are too high.
        limit_low, limit_high: limits of agreement, bias -+ 1.96 sd; None of a single region.
    """

    regions: int
    bias: float
    limit_low: float | None
    limit_high: float | None


@dataclass(frozen=True)
class CutOffs:
    """Counts from which on a tumour has the next grade; they hold for one tumour and one area alone.

    Attributes:
        tumour: what they were made for.
        area_mm2: the area that is counted in.
        counts: the least count of the second, the third grade and so on, ascending.
        source: where they are published.
    """

    tumour: str
    area_mm2: float
    counts: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        if not (self.tumour and self.source and self.area_mm2 > 0 and self.counts):
            raise ValueError("cut-offs state their tumour, their area and their source")
        if list(self.counts) != sorted(set(self.counts)):
            raise ValueError(f"cut-offs ascend, unlike {self.counts}")


def region_counts(regions: ArrayLike, each: ArrayLike) -> Floats:
    """Return the sum of each cell's value over the cells of each region, (regions,), in the order of their names.

    Args:
        regions: (n,) names.
        each: (n,) 0 or 1 of cells that are, or are called, positive; or their probabilities.
    """
    place = np.unique(np.asarray(regions), return_inverse=True)[1]
    return np.bincount(place, np.asarray(each, dtype=float)).astype(np.float64)


def require_whole_regions(regions: ArrayLike, train: ArrayLike, test: ArrayLike, names: Sequence[str] = ()) -> None:
    """Raise `DataError` where a region of a test cell holds a cell that is not tested: no count of it is whole.

    Args:
        regions: (n,) the region of every cell.
        train: rows of these cells that trained.
        test: rows of these cells that are tested.
        names: of the regions, where these are numbers.
    """
    region = np.asarray(regions)
    tested = np.zeros(len(region), dtype=bool)
    tested[np.asarray(test, dtype=np.intp)] = True
    divided = np.isin(region, np.unique(region[tested])) & ~tested
    if divided.any():
        half = np.unique(region[divided])
        in_train = np.isin(half, region[np.asarray(train, dtype=np.intp)]).sum()
        first = names[half[0]] if names else half[0]
        raise DataError(
            f"{len(half)} regions are only tested in part, such as {first} ({in_train} of them lie partly in "
            "training): their candidates cannot be counted"
        )


def log_agreement(predicted: ArrayLike, true: ArrayLike) -> LogAgreement:
    """Return bias and limits of agreement of log(count + 1) over regions, at least one."""
    difference = np.log1p(np.asarray(predicted, dtype=float)) - np.log1p(np.asarray(true, dtype=float))
    bias = float(difference.mean())
    if len(difference) < 2:
        return LogAgreement(len(difference), bias, None, None)
    reach = WITHIN * float(difference.std(ddof=1))
    return LogAgreement(len(difference), bias, bias - reach, bias + reach)


def grade_kappa(predicted: ArrayLike, true: ArrayLike, cut_offs: CutOffs, *, tumour: str, area_mm2: float) -> float:
    """Return quadratically weighted kappa of the grades of counts; NaN where all regions have one grade.

    Raises:
        DataError: the cut-offs were made for another tumour or area.
    """
    if tumour != cut_offs.tumour or abs(area_mm2 / cut_offs.area_mm2 - 1) > AREA_TOLERANCE:
        raise DataError(
            f"the cut-offs of {cut_offs.source} are for {cut_offs.tumour} in {cut_offs.area_mm2:g} mm2, not for "
            f"{tumour} in {area_mm2:g} mm2"
        )
    grades = [np.searchsorted(cut_offs.counts, np.asarray(each, dtype=float), "right") for each in (predicted, true)]
    table = np.zeros((len(cut_offs.counts) + 1,) * 2)
    np.add.at(table, tuple(grades), 1)
    rows, columns = np.indices(table.shape)
    cost = (rows - columns) ** 2
    by_chance = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    expected = (cost * by_chance).sum()
    return float(1 - (cost * table).sum() / expected) if expected else float("nan")
