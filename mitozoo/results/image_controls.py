"""Controls that see the image: runs of their own on the same cells, folds and labels, summed up beside a model."""

from __future__ import annotations

import dataclasses
import math
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from mitozoo.errors import VerificationError
from mitozoo.results.row import DONE
from mitozoo.results.run_folder import RESULT, read_document
from mitozoo.results.tables import CELLS, KEPT, read_rows, read_table
from mitozoo.statistics.bootstrap import intervals
from mitozoo.statistics.estimates import ScoredRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mitozoo.results.cell_columns import CellColumns
    from mitozoo.results.row import ResultRow

SHOWN = ("auroc", "average_precision", "within_slide_auroc", "balanced_accuracy")
REPLICATES = 1000
INTERVAL_SEED = 0
CONTROLS = "controls"  # in a submission, the folder of the controls' runs


def image_control_parts(
    cells: CellColumns, rows: Sequence[ResultRow], controls: Mapping[str, Path | str]
) -> dict[str, dict[str, Any]]:
    """Return the part 'image_controls' of a result document.

    Args:
        cells: the run's cells.
        rows: the model's rows; a control is scored over those folds and seeds of the largest fraction that both have.
        controls: name of a control -> the folder of its run, or why there is none.
    """
    done = [row for row in rows if row.status == DONE and not row.axes.perturbed]
    largest = max((row.axes.fraction for row in done), default=1.0)
    wanted = {row.axes for row in done if row.axes.fraction == largest}
    return {
        name: {"refused": run} if isinstance(run, str) else _entry(cells, wanted, run) for name, run in controls.items()
    }


def overlap_mark(document: dict[str, Any]) -> str:
    """Return the mark of a model whose interval of AUROC overlaps that of the better image control; '' otherwise."""
    entries = (document.get("image_controls") or {}).items()
    scored = {name: entry["auroc"] for name, entry in entries if entry.get("auroc", {}).get("mean") is not None}
    if not scored or not document["summary"]:
        return ""
    better = max(scored, key=lambda name: scored[name]["mean"])
    model, control = document["summary"][0]["metrics"]["auroc"], scored[better]
    if model["mean"] is None:
        return ""
    low, high = model["ci_low"], control["ci_high"]
    clear = low is not None and high is not None and low > high
    return "" if clear else f"not clearly better than {better}"


def check_image_controls(
    folder: Path, cells: CellColumns, rows: Sequence[ResultRow], document: dict[str, Any]
) -> list[str]:
    """Compare the image controls with their own runs where these lie beside, and return what was checked.

    Raises:
        VerificationError: they, or the mark that follows from them, are not what is recorded.
    """
    recorded = document.get("image_controls")
    if not recorded:
        return []
    if (mark := overlap_mark(document)) and mark not in document["marks"]:
        raise VerificationError(f"the mark '{mark}' is missing")
    runs = {name: _beside(folder, entry["run"]) for name, entry in recorded.items() if "run" in entry}
    beside = {name: run for name, run in runs.items() if (run / RESULT).is_file()}
    for name, run in beside.items():
        if read_document(run / RESULT)["dataset"]["cells_sha256"] != document["dataset"]["cells_sha256"]:
            raise VerificationError(f"image control '{name}' is a run on other cells")
    for name, entry in image_control_parts(cells, rows, beside).items():
        if not _equal(entry, recorded[name]):
            raise VerificationError(f"image control '{name}' is not what {entry['run']} beside the run says")
    return [
        f"image control '{name}' follows from {run.name}, to be verified by itself"
        if name in beside
        else f"image control '{name}' was not recomputed: {run.name} does not lie beside"
        for name, run in runs.items()
    ]


def _beside(folder: Path, run: str) -> Path:
    """Return where a control's run lies: in a folder of the run's own, as in a submission, or beside the run."""
    if PurePath(run).name != run:
        raise VerificationError("the run of an image control must be named by its folder's name")
    own = folder / CONTROLS / run
    return own if own.is_dir() else folder.parent / run


def _entry(cells: CellColumns, wanted: set[Any], run: Path) -> dict[str, Any]:
    document = read_document(run / RESULT)
    names = read_table(run / CELLS, KEPT)["cell_id"]
    scored = [
        ScoredRow(
            row_id=row.axes.row_id, cell=row.test, scores=row.test_scores, threshold=row.threshold,
            fold=row.axes.fold, seed=row.axes.seed,
        )
        for row in read_rows(run, names, document["scores"])
        if row.status == DONE and row.axes in wanted
    ]  # fmt: skip
    told = {"run": run.name, "run_id": document["run_id"], "protocol": document["protocol"]["name"]}
    if not scored:
        return told | {"refused": "no row of it has the folds and seeds of this run"}
    found = intervals(scored, cells.labels, cells.groups, cells.slides, replicates=REPLICATES, seed=INTERVAL_SEED)
    metrics = found.summaries[()].metrics
    return told | {name: dataclasses.asdict(metrics[name]) for name in SHOWN}


def _equal(one: Any, other: Any) -> bool:
    """Tell whether JSON values are equal, numbers but for rounding."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() <= other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)
