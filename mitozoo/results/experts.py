"""What votes tell of a run: metrics by how many agree, soft labels, and experts beside the model on the same cells."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.statistics.bootstrap import intervals
from mitozoo.statistics.estimates import ScoredRow
from mitozoo.statistics.experts import dropped, fleiss_kappa, halved, majority_of_others, soft_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd

    from mitozoo.results.cell_columns import CellColumns
    from mitozoo.results.row import ResultRow
    from mitozoo.statistics.experts import Reference

    Votes = npt.NDArray[np.float64]

SHOWN = ("auroc", "balanced_accuracy", "sensitivity", "specificity", "f1", "mcc")
REPLICATES = 1000
INTERVAL_SEED = 0
NOTE = "inter-expert reference: each expert, and the model, against the majority of the others on the same cells"


def vote_parts(
    cells: CellColumns, votes: pd.Series[Any], fits: Sequence[ResultRow], dataset: dict[str, Any]
) -> dict[str, Any]:
    """Return the parts 'agreement' and 'experts' of a result document; each is None where the votes do not allow it.

    Args:
        cells: the run's cells.
        votes: (n,) lists of 0 and 1, the persons in a fixed order.
        fits: finished fits on untouched cells.
        dataset: the document's 'dataset', which says how many vote on a cell ('voters') and whether independently.
    """
    counts = votes.map(len).to_numpy(dtype=np.int64)
    if not fits or not (counts > 1).any():
        return {"agreement": None, "experts": None}
    largest = max(row.axes.fraction for row in fits)
    rows = [row for row in fits if row.axes.fraction == largest]
    experts = None
    if dataset.get("independent_votes"):
        voted = np.flatnonzero(counts == dataset["voters"])
        if len(voted):
            experts = _experts(cells, np.stack(votes.iloc[voted].tolist()).astype(float), voted, rows)
    return {"agreement": _agreement(cells, votes, counts, rows), "experts": experts}


def _agreement(
    cells: CellColumns, votes: pd.Series[Any], counts: npt.NDArray[np.int64], fits: Sequence[ResultRow]
) -> list[dict[str, Any]]:
    """Return the metrics on cells of equal agreement: how many of how many votes say what the label says."""
    positive = votes.map(sum).to_numpy(dtype=np.int64)
    agreeing = np.where(cells.labels == 1, positive, counts - positive)
    tested = np.unique(np.concatenate([row.test for row in fits]))
    entries = []
    for voters, agree in sorted({(int(counts[cell]), int(agreeing[cell])) for cell in tested if counts[cell] > 1}):
        inside = (counts == voters) & (agreeing == agree)
        scored = [
            _scored(row, f"{row.axes.row_id}/{agree}/{voters}", inside[row.test]) for row in fits
            if inside[row.test].any()
        ]  # fmt: skip
        found = intervals(
            scored, cells.labels, cells.groups, cells.slides, replicates=REPLICATES, seed=INTERVAL_SEED
        ).summaries[()]
        here = tested[inside[tested]]
        entries.append({
            "agree": agree, "of": voters, "cells": len(here), "positive_cells": int(cells.labels[here].sum()),
            "interval": dataclasses.asdict(found.basis),
            "metrics": {name: dataclasses.asdict(found.metrics[name]) for name in (*SHOWN, "brier")},
        })  # fmt: skip
    return entries


def _experts(
    cells: CellColumns, votes: Votes, voted: npt.NDArray[np.intp], fits: Sequence[ResultRow]
) -> dict[str, Any]:
    """Return each expert and the model against the others; and the model against the shares of votes.

    Args:
        cells: the run's cells.
        votes: (v, k) of the cells that all k experts voted on.
        voted: (v,) which cells these are.
        fits: the model's rows.
    """
    place = np.full(len(cells.labels), -1)
    place[voted] = np.arange(len(voted))
    model = [_scored(row, row.axes.row_id, place[row.test] >= 0) for row in fits if (place[row.test] >= 0).any()]
    model = [dataclasses.replace(row, cell=place[row.cell], key=("model",)) for row in model]
    groups, slides = cells.groups[voted], cells.slides[voted]
    references, entries = majority_of_others(votes), []
    first_seed = min(row.seed for row in model)
    for expert in range(votes.shape[1]):
        own = [
            dataclasses.replace(row, scores=votes[row.cell, expert], threshold=0.5, key=("expert",))
            for row in model if row.seed == first_seed
        ]  # fmt: skip
        tested = np.unique(np.concatenate([row.cell for row in own]))
        entries.append({
            "expert": expert + 1, "cells": len(tested),
            "tied_cells": int((references[tested, expert] == 0.5).sum()),
            "ties_half": _beside(halved(references[:, expert]), own, model, groups, slides),
            "ties_dropped": _beside(dropped(references[:, expert]), own, model, groups, slides),
        })  # fmt: skip
    soft = [soft_errors(row.scores, votes[row.cell].mean(axis=1)) for row in model]
    return {
        "note": NOTE,
        "n_experts": votes.shape[1],
        "cells": len(voted),
        "fleiss_kappa": None if np.isnan(kappa := fleiss_kappa(votes)) else kappa,
        "against_others": entries,
        "soft_labels": {name: float(np.mean([each[name] for each in soft])) for name in soft[0]},
    }


def _beside(
    reference: Reference, own: Sequence[ScoredRow], model: Sequence[ScoredRow],
    groups: npt.NDArray[np.int64], slides: npt.NDArray[np.int64],
) -> dict[str, Any]:  # fmt: skip
    """Score an expert and the model on one reference, by the same draws of groups."""
    rows = [reference.of(row, f"{row.key[0]}-{row.row_id}") for row in (*own, *model)]
    found = intervals(
        [row for row in rows if len(row.cell)], reference.labels, groups[reference.cells], slides[reference.cells],
        replicates=REPLICATES, seed=INTERVAL_SEED,
    ).summaries  # fmt: skip
    return {
        str(who): {name: dataclasses.asdict(summary.metrics[name]) for name in SHOWN}
        for (who,), summary in found.items()
    }


def _scored(row: ResultRow, row_id: str, inside: npt.NDArray[np.bool_]) -> ScoredRow:
    return ScoredRow(
        row_id=row_id, cell=row.test[inside], scores=row.test_scores[inside], threshold=row.threshold,
        fold=row.axes.fold, seed=row.axes.seed,
    )  # fmt: skip
