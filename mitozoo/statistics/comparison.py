"""Two models on the same test cells: the paired difference of each metric, with its interval over groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mitozoo.statistics.bootstrap import ENOUGH_FOR_PERCENTILES
from mitozoo.statistics.resampling import Fit, TestedCells, effective_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from mitozoo.statistics.arrays import Floats
    from mitozoo.statistics.estimates import ScoredRow


@dataclass(frozen=True)
class Difference:
    """First minus second: the value, its 95 % interval over groups, and a two-sided p; None where undefined."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None


def paired_differences(
    first: Sequence[ScoredRow],
    second: Sequence[ScoredRow],
    labels: ArrayLike,
    groups: ArrayLike,
    slides: ArrayLike,
    *,
    replicates: int = 9999,
    seed: int = 0,
) -> dict[str, Difference]:
    """Return each metric's mean difference over matching folds and seeds.

    One draw of groups serves both sides. With at least 50 effective groups: percentiles, and
    p = (1 + k) / (B + 1) where k replicates lie as far from the difference as 0 does; below: the delete-one-group
    jackknife with Student's t(G - 1).

    Args:
        first: rows of one model.
        second: rows of the other, with the same (key, fold, seed) and the same cells.
        labels: (N,) 0 or 1.
        groups: (N,) names of what is drawn.
        slides: (N,) names.
        replicates: number of draws.
        seed: of the draws.

    Raises:
        ValueError: the rows do not match.
    """
    ours = {(row.key, row.fold, row.seed): row for row in first}
    theirs = {(row.key, row.fold, row.seed): row for row in second}
    if not ours or ours.keys() != theirs.keys():
        raise ValueError("both sides need the same folds, seeds and label budgets")
    if any(not np.array_equal(ours[at].cell, theirs[at].cell) for at in ours):
        raise ValueError("both sides must be tested on the same cells")
    table = TestedCells([*first, *second], labels, groups, slides, {}, replicates, seed)
    pairs = [(Fit(table, ours[at]), Fit(table, theirs[at])) for at in ours]
    cells = np.unique(np.concatenate([row.cell for row in first]))
    tested, sizes = np.unique(table.groups[cells], return_counts=True)
    found = {}
    for name in pairs[0][0].values:
        value = float(np.mean([one.values[name] - other.values[name] for one, other in pairs]))
        if name not in pairs[0][0].without_each(tested):  # a point-only metric
            found[name] = Difference(None if np.isnan(value) else value, None, None, None)
        elif effective_groups(sizes) >= ENOUGH_FOR_PERCENTILES:
            drawn = np.mean([one.drawn[name] - other.drawn[name] for one, other in pairs], axis=0)
            found[name] = _by_percentiles(value, drawn)
        else:
            left = [one.without_each(tested)[name] - other.without_each(tested)[name] for one, other in pairs]
            found[name] = _by_jackknife(value, np.mean(left, axis=0))
    return found


def _by_percentiles(value: float, drawn: Floats) -> Difference:
    defined = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(defined):
        return Difference(None, None, None, None)
    low, high = np.quantile(defined, [0.025, 0.975])
    as_far = int(np.sum(np.abs(defined - value) >= abs(value)))
    return Difference(value, min(float(low), value), max(float(high), value), (1 + as_far) / (len(defined) + 1))


def _by_jackknife(value: float, left_out: Floats) -> Difference:
    if np.isnan(value) or np.isnan(left_out).any() or len(left_out) < 2:
        return Difference(None if np.isnan(value) else value, None, None, None)
    from scipy.stats import t

    groups, spread = len(left_out), left_out - left_out.mean()
    error = float(np.sqrt((groups - 1) / groups * (spread @ spread)))
    reach = float(t.ppf(0.975, groups - 1)) * error
    p = 1.0 if error == 0 and value == 0 else 0.0 if error == 0 else float(2 * t.sf(abs(value) / error, groups - 1))
    return Difference(value, value - reach, value + reach, p)
