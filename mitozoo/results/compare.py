"""Compare runs on the cells that all of them tested, and over datasets where that is allowed."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from mitozoo.errors import DataError
from mitozoo.results.across_datasets import ranks_across
from mitozoo.results.cell_columns import CellColumns
from mitozoo.results.comparison import Comparison
from mitozoo.results.conditions import Conditions
from mitozoo.results.row import DONE
from mitozoo.results.run_folder import RESULT, read_document
from mitozoo.results.run_reader import finished_entries, read_fits
from mitozoo.results.tables import CELLS, read_table
from mitozoo.statistics.comparison import PairedModels, holm
from mitozoo.statistics.estimates import ScoredRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

Place = tuple[float, int, int]  # fraction, fold, seed
REPLICATES = 9999


def compare(folders: Sequence[Path], *, metric: str = "auroc", replicates: int = REPLICATES) -> Comparison:
    """Return the paired differences of runs, as JSON values that show themselves in a notebook.

    Args:
        folders: two runs or more; runs of several datasets are compared dataset by dataset, and over all of them by
            mean ranks where the datasets are many enough and share no images.
        metric: that ranks and forests go by.
        replicates: draws of groups.

    Returns:
        'metric'; 'comparisons', one for each dataset's cells, see `compare_on_same_cells`; and 'across': None for one
        dataset, else either the mean ranks or, under 'refused', why there are none.

    Raises:
        DataError: fewer than two runs, or a run without another one on the same cells.
    """
    documents = [read_document(folder / RESULT) for folder in folders]
    if len(folders) < 2:
        raise DataError("a comparison needs at least two runs", hint="List them: mitozoo runs")
    by_cells: dict[str, list[int]] = {}
    for place, document in enumerate(documents):
        by_cells.setdefault(document["dataset"]["cells_sha256"], []).append(place)
    for places in by_cells.values():
        if len(places) == 1:
            others = ", ".join(folders[place].name for place in range(len(folders)) if place != places[0])
            raise DataError(
                f"{folders[places[0]].name} has other cells, groups or labels than {others}: no difference is paired",
                hint="Compare runs of one dataset, with the same --negatives and --limit.",
            )
    found = [
        compare_on_same_cells([folders[n] for n in places], [documents[n] for n in places], metric, replicates)
        for places in by_cells.values()
    ]
    across = ranks_across(found, metric) if len(found) > 1 else None
    return Comparison({"metric": metric, "comparisons": found, "across": across})


def compare_on_same_cells(
    folders: Sequence[Path], documents: Sequence[dict[str, Any]], metric: str, replicates: int
) -> dict[str, Any]:
    """Return how runs differ on the cells that all of them tested.

    The rows are those of the largest label fraction, and of the folds and seeds, that all runs have. 'basis' says what
    the numbers rest on, 'runs' has each run's means, 'pairs' each pair's differences (first minus second) with p alone
    and Holm-corrected over the pairs, and 'ranks' how sure each place by the metric is, or 'no_ranks' why none is.
    """
    cell_table = read_table(folders[0] / CELLS, ("cell_id",))
    fraction = shared_places(folders, documents)[0][0]
    scored = [
        scored_rows(folder, document, cell_table["cell_id"], fraction)
        for folder, document in zip(folders, documents, strict=True)
    ]
    return compare_rows(folders, documents, cell_table, scored, metric, replicates)


def shared_places(folders: Sequence[Path], documents: Sequence[dict[str, Any]]) -> list[Place]:
    """Return the (fraction, fold, seed) of the largest label fraction that all runs have.

    Raises:
        DataError: they have none in common.
    """
    shared = set.intersection(*({_place(entry) for entry in finished_entries(document)} for document in documents))
    if not shared:
        raise DataError(f"{', '.join(folder.name for folder in folders)} share no label fraction, fold and seed")
    fraction = max(at[0] for at in shared)
    return sorted(at for at in shared if at[0] == fraction)


def compare_rows(
    folders: Sequence[Path],
    documents: Sequence[dict[str, Any]],
    cell_table: pd.DataFrame,
    scored: Sequence[dict[Place, ScoredRow]],
    metric: str,
    replicates: int,
    *,
    auroc_alone: bool = False,
) -> dict[str, Any]:
    """Return what `compare_on_same_cells` does of rows that were read already.

    Args:
        folders: of the runs.
        documents: of the runs.
        cell_table: of any of them.
        scored: for each run, its rows at the places that all of them have, their cells as rows of that table.
        metric: that ranks go by.
        replicates: draws of groups.
        auroc_alone: know no other metric, and be some hundred times faster.
    """
    called = ", ".join(folder.name for folder in folders)
    kept = shared_places(folders, documents)
    cells = CellColumns.of(cell_table, Conditions())
    try:
        models = PairedModels(
            [[rows[at] for at in kept] for rows in scored], cells.labels, cells.groups, cells.slides,
            replicates=replicates, auroc_alone=auroc_alone,
        )  # fmt: skip
    except ValueError as error:
        raise DataError(f"{called} cannot be compared: {error}") from error
    if metric not in models.means[0]:
        raise DataError(f"there is no metric '{metric}'", hint=f"There are: {', '.join(models.means[0])}.")
    pairs = models.pairs()
    corrected = {name: holm([differences[name].p for differences in pairs.values()]) for name in models.means[0]}
    refused = models.why_no_ranks(metric) or _why_not_ranked(documents)
    standings = None if refused else [dataclasses.asdict(each) for each in models.standings(metric, pairs)]
    return {
        "basis": {
            "dataset": documents[0]["dataset"]["name"], "fraction": kept[0][0], "folds": len({at[1] for at in kept}),
            "seeds": len({at[2] for at in kept}), "method": models.method,
            "replicates": {"percentile": replicates, "jackknife": models.n_groups, "none": 0}[models.method],
            "n_groups": models.n_groups, "effective_groups": models.effective_groups,
        },
        "runs": [
            {"run": folder.name, "name": name, "model": document["model"]["name"],
             "protocol": document["protocol"]["name"], "means": {key: _known(mean) for key, mean in means.items()}}
            for folder, document, name, means in zip(folders, documents, _names(documents), models.means, strict=True)
        ],
        "pairs": [
            {"first": first, "second": second, "metrics": {
                name: dataclasses.asdict(difference) | {"p_holm": corrected[name][number]}
                for name, difference in differences.items()
            }}
            for number, ((first, second), differences) in enumerate(pairs.items())
        ],
        "ranks": standings,
        "no_ranks": refused,
    }  # fmt: skip


def scored_rows(
    folder: Path, document: dict[str, Any], cell_ids: pd.Series[str], fraction: float
) -> dict[Place, ScoredRow]:
    """Read a run's fits of a fraction on untouched test cells; cells are found by their ids, in whatever order."""
    entries = [entry for entry in finished_entries(document) if entry["fraction"] == fraction]
    return {
        fit.place: ScoredRow(
            row_id=entry["row_id"], cell=fit.cell, scores=fit.scores, threshold=fit.threshold, fold=entry["fold"],
            seed=entry["seed"], key=(fraction,), temperature=entry.get("temperature", 1.0),
        )
        for entry, fit in zip(entries, read_fits(folder, entries, cell_ids), strict=True)
    }  # fmt: skip


def _place(entry: dict[str, Any]) -> Place:
    return entry["fraction"], entry["fold"], entry["seed"]


def _why_not_ranked(documents: Sequence[dict[str, Any]]) -> str:
    """Return why runs stand beside each other, but in no ranking; '' where they may be ranked."""
    first, *others = documents
    if any(document["protocol"]["hash"] != first["protocol"]["hash"] for document in others):
        return "different protocols: no ranks"
    if any(document.get("conditions") != first.get("conditions") for document in others):
        return "different conditions: no ranks"
    if any(document["geometry"]["seen_um"] != first["geometry"]["seen_um"] for document in others):
        return "the models saw windows of different size: no ranks"
    entries = [entry for document in documents for entry in document["scores"] if entry["status"] == DONE]
    largest = max(entry["fraction"] for entry in entries)
    if not all(entry["rankable"] for entry in entries if entry["fraction"] == largest):
        return "too few labelled cells or groups of a class: a point, never a rank"
    return ""


def _names(documents: Sequence[dict[str, Any]]) -> list[str]:
    """Return short names that tell the runs apart: the model's, its protocol's where needed, else with a number."""
    names = [document["model"]["name"] for document in documents]
    if len(set(names)) < len(names):
        names = [f"{name} ({document['protocol']['name']})" for name, document in zip(names, documents, strict=True)]
    seen: Counter[str] = Counter()
    repeated = {name for name, count in Counter(names).items() if count > 1}
    for place, name in enumerate(names):
        if name in repeated:
            seen[name] += 1
            names[place] = f"{name} #{seen[name]}"
    return names


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
