"""Rank models over several datasets, where these are disjoint by all that is known of them."""

from __future__ import annotations

import dataclasses
import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

from mitozoo.statistics.friedman import mean_ranks
from mitozoo.statistics.metrics import metric_direction

if TYPE_CHECKING:
    from collections.abc import Sequence


def ranks_across(found: Sequence[dict[str, Any]], metric: str) -> dict[str, Any]:
    """Return mean ranks over the datasets of several comparisons, or under 'refused' why there are none."""
    if reason := next((each["no_ranks"] for each in found if each["no_ranks"]), ""):
        return {"refused": reason}
    names = [each["basis"]["dataset"] for each in found]
    return ranks_over_datasets(
        names, [{run["name"]: run["means"][metric] for run in each["runs"]} for each in found], metric
    )


def ranks_over_datasets(
    datasets: Sequence[str], means: Sequence[dict[str, float | None]], metric: str
) -> dict[str, Any]:
    """Return mean ranks, or under 'refused' why there are none.

    Args:
        datasets: their names, as plugins offer them.
        means: for each dataset, each run's mean by its name.
        metric: what the means are of.
    """
    names = sorted(means[0])
    if any(sorted(each) != names for each in means):
        return {"refused": "not every model was run on every dataset"}
    if reason := _why_not_disjoint(datasets):
        return {"refused": reason}
    values = [[math.nan if (mean := each[name]) is None else mean for name in names] for each in means]
    try:
        ranks = mean_ranks(values, higher_is_better=metric_direction(metric) == "higher")
    except ValueError as error:
        return {"refused": str(error)}
    return dataclasses.asdict(ranks) | {"models": names, "cliques": ranks.cliques()}


def _why_not_disjoint(datasets: Sequence[str]) -> str:
    """Return which datasets share images by what installed plugins declare, or are not known to share none."""
    from mitozoo.plugins.lineage import Relatives, plain
    from mitozoo.plugins.registry import load_registry

    relatives = Relatives.among(registered.spec for registered in load_registry().datasets)
    for name in datasets:
        if plain(name) not in relatives.called:
            return f"no installed plugin tells where the images of '{name}' come from"
    for one, other in combinations(datasets, 2):
        if common := relatives.common_origins(one, other):
            return f"datasets '{one}' and '{other}' are not disjoint: both hold images of {', '.join(sorted(common))}"
    return ""
