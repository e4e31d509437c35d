"""Ranges of ranks from intervals alone, where nothing paired is at hand: they are wide, and together right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from numpy.typing import ArrayLike

    from mitozoo.statistics.arrays import Floats

LEVEL = 0.05
LEAST = 1e-9  # metrics nearer to 0 or 1 are taken to lie here, where the log odds still are numbers


def joint_intervals(value: ArrayLike, low: ArrayLike, high: ArrayLike, groups: ArrayLike) -> tuple[Floats, Floats]:
    """Return 95 % intervals of metrics from 0 to 1 widened so that all of them together hold in 95 % of samples.

    Each side is stretched on the log odds by the ratio of Student's t(G - 1) at Bonferroni's level to that at 5 %,
    which holds whatever the values have in common.

    Args:
        value: (n,) means.
        low: (n,) lower ends of their 95 % intervals.
        high: (n,) upper ends.
        groups: (n,) how many groups G each rests on, 2 or more.
    """
    from scipy.stats import t

    middle, ends = _log_odds(value), (_log_odds(low), _log_odds(high))
    freedom = np.asarray(groups, dtype=np.float64) - 1
    stretch = np.maximum(t.isf(LEVEL / 2 / max(1, len(middle)), freedom) / t.isf(LEVEL / 2, freedom), 1)
    lower, upper = (1 / (1 + np.exp(-(middle + (end - middle) * stretch))) for end in ends)
    return lower, upper


def rank_ranges(low: ArrayLike, high: ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the best and the worst rank (n,) that each may have, where more is better.

    The best is 1 + those whose interval lies wholly above one's own, the worst n - those whose interval lies wholly
    below. Where all intervals hold together, all true ranks lie in their ranges (Klein, Wright and Wieczorek,
    Journal of the Royal Statistical Society A 183, 2020).

    Args:
        low: (n,) lower ends of intervals.
        high: (n,) upper ends.
    """
    lower, upper = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    above = len(lower) - np.searchsorted(np.sort(lower), upper, side="right")
    below = np.searchsorted(np.sort(upper), lower, side="left")
    return 1 + above, len(lower) - below


def _log_odds(values: ArrayLike) -> Floats:
    share = np.clip(np.asarray(values, dtype=np.float64), LEAST, 1 - LEAST)
    return np.log(share) - np.log1p(-share)
