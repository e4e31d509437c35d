"""What may be said of the order of a section's runs, and of runs over several datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mitozoo.errors import MitozooError, VerificationError
from mitozoo.results.across_datasets import ranks_over_datasets
from mitozoo.results.compare import REPLICATES, compare_rows, scored_rows, shared_places
from mitozoo.statistics.estimates import ScoredRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.report.gathering import Run, Section
    from mitozoo.results.compare import Place

METRIC = "auroc"
#: Draws of groups where all of them would take too long, and how many products of two numbers are not too long.
FEWER_REPLICATES, PRODUCTS = 999, 5.0e11


def compared(section: Section) -> tuple[dict[str, Any] | None, str]:
    """Return the comparison of a section's runs by AUROC, or None and why there is none."""
    if len(section.runs) < 2:
        return None, ""
    folders = [run.result.folder for run in section.runs]
    documents = [run.document for run in section.runs]
    try:
        fraction = shared_places(folders, documents)[0][0]
        scored = [_scored(run, section.runs[0], fraction) for run in section.runs]
        replicates = _replicates(scored, section.runs[0])
        if not replicates:
            return None, (
                f"Paired differences of {len(section.runs)} runs take longer than a report should: "
                "mitozoo compare makes them."
            )
        table = section.runs[0].cells
        return compare_rows(folders, documents, table, scored, METRIC, replicates, auroc_alone=True), ""
    except MitozooError as error:
        return None, f"No paired differences: {error.message}."


def _scored(run: Run, first: Run, fraction: float) -> dict[Place, ScoredRow]:
    """Return a run's fits with a share of the labels, their cells as rows of another run's table."""
    if any(fit.place[0] != fraction for fit in run.fits):  # only those of the largest share are at hand
        return scored_rows(run.result.folder, run.document, first.cells["cell_id"], fraction)
    place = pd.Index(first.cells["cell_id"]).get_indexer(run.cells["cell_id"])
    if (place < 0).any():
        raise VerificationError(f"{run.result.folder.name} has other cells than {first.result.folder.name}")
    rows = {}
    for fit in run.fits:
        cell = place[fit.cell]
        order = np.argsort(cell)
        rows[fit.place] = ScoredRow(
            row_id=str(fit.place), cell=cell[order], scores=fit.scores[order], threshold=fit.threshold,
            fold=fit.place[1], seed=fit.place[2], key=(fraction,),
        )  # fmt: skip
    return rows


def _replicates(scored: Sequence[dict[Place, ScoredRow]], first: Run) -> int:
    """Return how many draws can be made in a minute or so: as many as `mitozoo compare` makes, fewer, or none."""
    group = pd.factorize(first.cells["group"])[0]
    products = sum(len(np.unique(group[row.cell])) ** 2 for rows in scored for row in rows.values())
    return next((draws for draws in (REPLICATES, FEWER_REPLICATES) if products * draws <= PRODUCTS), 0)


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
