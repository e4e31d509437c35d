"""What goes into the intervals of a run, and what comes out of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from mitozoo.statistics.arrays import Codes, Floats


@dataclass(frozen=True)
class ScoredRow:
    """One fit (of a fold, a seed and a key) on its test cells.

    Attributes:
        row_id: unique name of the row.
        cell: (m,) rows of the run's cell table.
        scores: (m,) probabilities of the positive class.
        threshold: from where on a score is called positive.
        fold, seed: the axes that a summary averages over.
        key: all other axes; rows of one key make one summary, such as (fraction, train_domain, test_domain).
        temperature: fitted on validation cells; 1 where there is none.
    """

    row_id: str
    cell: Codes
    scores: Floats
    threshold: float
    fold: int
    seed: int
    key: tuple[Hashable, ...] = ()
    temperature: float = 1.0


@dataclass(frozen=True)
class Estimate:
    """A metric of one row; None where it, or its interval, is undefined."""

    value: float | None
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True)
class MeanEstimate:
    """A metric within each fold, averaged over folds and seeds; `sd_training`, over seeds, is no standard error."""

    mean: float | None
    ci_low: float | None
    ci_high: float | None
    sd_training: float | None
    n_seeds: int
    n_folds: int


@dataclass(frozen=True)
class Basis:
    """What intervals rest on.

    Attributes:
        method: 'percentile', 'jackknife', or 'none'.
        replicates: draws of groups, or groups left out one by one.
        seed: of the draws.
        n_groups: groups among the test cells.
        effective_groups: (sum n)^2 / sum n^2 over the groups' sizes n.
        largest_share: the largest group's share of the test cells.
        groups_with_positive: groups that hold a positive cell.
        undefined_replicates: metric -> replicates in which it was undefined; metrics without any are not listed.
        note: what a reader must know.
    """

    method: str
    replicates: int
    seed: int
    n_groups: int
    effective_groups: float
    largest_share: float
    groups_with_positive: int
    undefined_replicates: dict[str, int]
    note: str


@dataclass(frozen=True)
class RowIntervals:
    """The metrics of one row, and what their intervals rest on."""

    metrics: dict[str, Estimate]
    basis: Basis


@dataclass(frozen=True)
class SummaryIntervals:
    """The metrics of all rows of one key, and what their intervals rest on."""

    metrics: dict[str, MeanEstimate]
    basis: Basis


@dataclass(frozen=True)
class Intervals:
    """All intervals of a run: by row id, and by key."""

    rows: dict[str, RowIntervals]
    summaries: dict[tuple[Hashable, ...], SummaryIntervals]
