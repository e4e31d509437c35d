"""From replicates to the two ends of a 95 % interval: percentiles, or a jackknife on a scale without ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from mitozoo.statistics.arrays import Floats

LEVEL = 0.95
Ends: TypeAlias = tuple[float, float] | tuple[None, None]


def percentile_limits(value: float, replicates: Floats) -> Ends:
    """Return the middle 95 % of the defined replicates (B,), widened to hold the value itself where it lies outside.

    That happens to errors of calibration, which noise can only enlarge. Nothing where the value or all is undefined.
    """
    defined = replicates[~np.isnan(replicates)]
    if not len(defined) or math.isnan(value):
        return None, None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return min(float(low), value), max(float(high), value)


def jackknife_limits(value: float, left_out: Floats, metric_range: str, cells: int) -> Ends:
    """Return the interval from the values (G,) that remain when each of G groups is left out, by Student's t(G - 1).

    It is made on the log odds of metrics from 0 to 1, also of those from -1 to 1 after shifting them there, and on the
    logarithm of positive ones. Values closer to an end than half a cell, 1 / (2 cells), are taken to lie there.
    Nothing where a value is undefined: without it the others would look too much alike.
    """
    if len(left_out) < 2 or np.isnan(left_out).any() or math.isnan(value):
        return None, None
    from scipy.special import stdtrit

    least = 1 / (2 * cells)
    scaled = _to_scale(np.append(left_out, value), metric_range, least)
    groups, spread = len(left_out), scaled[:-1] - scaled[:-1].mean()
    reach = float(stdtrit(groups - 1, (1 + LEVEL) / 2)) * math.sqrt((groups - 1) / groups * float(spread @ spread))
    low, high = _from_scale(scaled[-1] + np.array([-reach, reach]), metric_range)
    return min(float(low), value), max(float(high), value)


def _to_scale(values: Floats, metric_range: str, least: float) -> Floats:
    if metric_range == "positive":
        return np.log(np.maximum(values, least))
    share = np.clip((values + 1) / 2 if metric_range == "symmetric" else values, least, 1 - least)
    return np.log(share) - np.log1p(-share)


def _from_scale(scaled: Floats, metric_range: str) -> Floats:
    if metric_range == "positive":
        return np.exp(scaled)
    share = 1 / (1 + np.exp(-scaled))
    return 2 * share - 1 if metric_range == "symmetric" else share
