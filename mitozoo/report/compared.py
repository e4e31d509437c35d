"""What may be said of the order of a section's runs, and of runs over several datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitozoo.errors import MitozooError
from mitozoo.results.compare import REPLICATES, compare_on_same_cells, ranks_over_datasets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.report.gathering import Section

METRIC = "auroc"
#: Draws of groups, and how many scored cells may be drawn so often in a minute's work for a whole report.
FEWER_REPLICATES, DRAWN_CELLS = 999, 2.0e9


def compared(section: Section) -> tuple[dict[str, Any] | None, str]:
    """Return the comparison of a section's runs, or None and why there is none."""
    if len(section.runs) < 2:
        return None, ""
    cells = sum(len(fit.cell) for run in section.runs for fit in run.fits)
    replicates = next((draws for draws in (REPLICATES, FEWER_REPLICATES) if cells * draws <= DRAWN_CELLS), 0)
    if not replicates:
        return None, (
            f"Paired differences of {len(section.runs)} runs on {cells:,} scores take longer than a report should: "
            "mitozoo compare makes them."
        )
    folders = [run.result.folder for run in section.runs]
    try:
        return compare_on_same_cells(folders, [run.document for run in section.runs], METRIC, replicates), ""
    except MitozooError as error:
        return None, f"No paired differences: {error.message}."


def over_datasets(sections: Sequence[Section], comparisons: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Return mean ranks over datasets, or under 'refused' why there are none; None where nobody would ask."""
    if len(sections) < 2:
        return None
    asked = [(section.document["protocol"]["hash"], section.document["conditions"]) for section in sections]
    if any(each != asked[0] for each in asked):
        return {"refused": "the runs are not all of one protocol under one condition"}
    names = [section.document["dataset"]["name"] for section in sections]
    if len(set(names)) < len(names):
        return {"refused": "some runs are on different cells of one dataset"}
    for comparison in comparisons:
        if comparison is None:
            return {"refused": "not every model was run on every dataset, or runs were not compared"}
        if comparison["no_ranks"]:
            return {"refused": comparison["no_ranks"]}
    means = [{run.name: run.metric(METRIC)["mean"] for run in section.runs} for section in sections]
    return ranks_over_datasets(names, means, METRIC)
