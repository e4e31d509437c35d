"""Models over many datasets: Friedman's test, mean ranks, and the critical difference between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Over fewer datasets, or such as share images, mean ranks say nothing.
ENOUGH_DATASETS = 6
ENOUGH_MODELS = 3
LEVEL = 0.05


@dataclass(frozen=True)
class MeanRanks:
    """The outcome of Friedman's test.

    Attributes:
        ranks: each model's mean rank over the datasets; 1 is the best, equal ones share.
        p: of the hypothesis that all models are alike.
        critical_difference: mean ranks closer than this are not told apart at 5 % (Nemenyi).
        datasets: how many the ranks are means over.
    """

    ranks: tuple[float, ...]
    p: float
    critical_difference: float
    datasets: int

    def cliques(self) -> list[tuple[int, ...]]:
        """Return the largest sets of models that are not told apart, best first; none where all or nothing is."""
        order = sorted(range(len(self.ranks)), key=self.ranks.__getitem__)
        sets: list[tuple[int, ...]] = []
        for place, model in enumerate(order):
            reach = tuple(m for m in order[place:] if self.ranks[m] - self.ranks[model] <= self.critical_difference)
            if len(reach) > 1 and not any(set(reach) <= set(larger) for larger in sets):
                sets.append(reach)
        return sets


def mean_ranks(values: ArrayLike, *, higher_is_better: bool = True) -> MeanRanks:
    """Return Friedman's test over a table of one metric.

    Args:
        values: (datasets, models), without gaps; the datasets must be independent of each other.
        higher_is_better: of the metric.

    Raises:
        ValueError: fewer than 6 datasets or 3 models, or a value is missing.
    """
    table = np.asarray(values, dtype=float)
    datasets, models = table.shape
    if datasets < ENOUGH_DATASETS or models < ENOUGH_MODELS:
        raise ValueError(
            f"mean ranks need at least {ENOUGH_DATASETS} datasets and {ENOUGH_MODELS} models, "
            f"not {datasets} and {models}"
        )
    if np.isnan(table).any():
        raise ValueError("mean ranks need every model's value on every dataset")
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    ranks = rankdata(-table if higher_is_better else table, axis=1).mean(axis=0)
    p = float(friedmanchisquare(*table.T).pvalue) if np.ptp(table, axis=1).any() else 1.0
    reach = float(studentized_range.ppf(1 - LEVEL, models, np.inf)) / np.sqrt(2)
    return MeanRanks(
        ranks=tuple(map(float, ranks)), p=p,
        critical_difference=float(reach * np.sqrt(models * (models + 1) / (6 * datasets))), datasets=datasets,
    )  # fmt: skip
