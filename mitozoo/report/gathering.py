"""Read runs for a report: refuse what is broken, and keep apart what must not be ranked together."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mitozoo.errors import StorageError, VerificationError
from mitozoo.results.result import Result
from mitozoo.results.run_folder import COMPUTE, RESULT
from mitozoo.results.schema import violations
from mitozoo.results.tables import CELLS, KEPT, PREDICTIONS, SPLITS, TEST, read_table
from mitozoo.results.tested import finished_entries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

#: Parts that documents of earlier versions may lack.
ABSENT: dict[str, Any] = {"by_negatives": [], "only_in_test": {}, "image_controls": None, "candidate_count": None}


@dataclass(frozen=True, eq=False)
class TestedFit:
    """One fit on its test cells.

    Attributes:
        place: its label fraction, fold and seed.
        cell: (m,) rows of the run's cell table.
        scores: (m,) of these cells.
        threshold: from where on a score is called positive.
    """

    __test__ = False  # no test case, whatever pytest thinks of its name

    place: tuple[float, int, int]
    cell: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    threshold: float


@dataclass(frozen=True, eq=False)
class Run:
    """A run as a report shows it.

    Attributes:
        name: the model's, made unique among the runs of a section.
        result: its document and folder.
        cells: its cell table.
        fits: those of the largest label fraction, on untouched cells.
        cost: the last call that knew the network, from compute.json; empty where that file is not there.
    """

    name: str
    result: Result
    cells: pd.DataFrame
    fits: tuple[TestedFit, ...]
    cost: dict[str, Any]

    @property
    def document(self) -> dict[str, Any]:
        """The result document."""
        return self.result.document

    @property
    def labels(self) -> npt.NDArray[np.int8]:
        """(n,) 1 for the positive class, 0 for the other."""
        return self.cells["label"].to_numpy(dtype=np.int8)

    def metric(self, name: str) -> dict[str, Any]:
        """Return a metric's mean and interval at the largest label fraction; nothing known where nothing was fitted."""
        summary = self.document["summary"]
        unknown = dict.fromkeys(("mean", "ci_low", "ci_high", "sd_training"))
        return summary[0]["metrics"][name] if summary else unknown


@dataclass(frozen=True)
class Section:
    """Runs that may stand in one table: the same cells, protocol and conditions."""

    runs: tuple[Run, ...]

    @property
    def document(self) -> dict[str, Any]:
        """The document of the first run, for what all runs have in common."""
        return self.runs[0].document

    def best(self, limit: int) -> list[Run]:
        """Return so many runs at most, those of the highest AUROC, in the order of the section."""
        by_score = sorted(self.runs, key=lambda run: -(run.metric("auroc")["mean"] or 0))
        return [run for run in self.runs if run in by_score[:limit]]


def gather(folders: Sequence[Path]) -> list[Section]:
    """Return the runs in sections, in the order given; a run that is named twice counts once.

    Raises:
        StorageError, VerificationError: a run is not what it must be; the message names it.
    """
    once = {run.document["run_id"]: run for run in map(read_run, folders)}
    sections: dict[str, list[Run]] = {}
    for run in once.values():
        document = run.document
        apart = [document["dataset"]["cells_sha256"], document["protocol"]["hash"], document["conditions"]]
        sections.setdefault(json.dumps(apart, sort_keys=True), []).append(run)
    return [Section(_told_apart(runs)) for runs in sections.values()]


def _told_apart(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return the runs of a section; those of one model bear the start of their id too."""
    times = Counter(run.name for run in runs)
    return tuple(
        replace(run, name=f"{run.name} ({run.document['run_id'][:8]})") if times[run.name] > 1 else run for run in runs
    )


def read_run(folder: Path) -> Run:
    """Read a run; its schema, the sha256 of its tables and their fit are checked, its numbers are not recomputed."""
    try:
        return _read(folder)
    except (StorageError, VerificationError) as error:
        named = error.message if folder.name in error.message else f"{folder.name}: {error.message}"
        raise type(error)(named, hint=f"See what else is wrong: mitozoo verify {folder}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise VerificationError(f"{folder.name}: its files do not fit together: {error}") from error


def _read(folder: Path) -> Run:
    result = Result.read(folder)
    if found := violations(result.document):
        raise VerificationError(f"{RESULT} breaks its schema: {found[0]}")
    result = replace(result, document=ABSENT | result.document)
    for name in (CELLS, SPLITS, PREDICTIONS):
        _require_recorded(folder / name, result.document["files"].get(name))
    cells = read_table(folder / CELLS, KEPT)
    return Run(
        result.document["model"]["name"], result, cells, tuple(_fits(folder, result.document, cells)), _cost(folder)
    )


def _require_recorded(path: Path, sha256: str | None) -> None:
    try:
        with path.open("rb") as file:
            measured = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"{path.name} is missing or unreadable: {error.strerror}") from error
    if measured != sha256:
        raise VerificationError(f"{path.name} has another sha256 than {RESULT} records")


def _fits(folder: Path, document: dict[str, Any], cells: pd.DataFrame) -> list[TestedFit]:
    """Return the fits of the largest fraction; only their rows of the tables are read."""
    done = finished_entries(document)
    if not done:
        return []
    fraction = max(entry["fraction"] for entry in done)
    wanted = [entry for entry in done if entry["fraction"] == fraction]
    ids = pd.Index(cells["cell_id"])
    splits = read_table(
        folder / SPLITS, ("cell_id", "fold", "seed"), where=[("fraction", "==", fraction), ("role", "==", TEST)]
    )
    row_ids = [entry["row_id"] for entry in wanted]
    predictions = read_table(folder / PREDICTIONS, ("row_id", "cell_id", "score"), where=[("row_id", "in", row_ids)])
    if not predictions["score"].between(0, 1).all():
        raise VerificationError(f"{PREDICTIONS} holds scores that are no probabilities")
    place_of_test = ids.get_indexer(splits["cell_id"])
    place_of_score = ids.get_indexer(predictions["cell_id"])
    if (place_of_test < 0).any() or (place_of_score < 0).any():
        raise VerificationError(f"{SPLITS} or {PREDICTIONS} names cells that are not in {CELLS}")
    tests = splits.groupby(["fold", "seed"], sort=False).indices
    scores = predictions.groupby("row_id", sort=False).indices
    values = predictions["score"].to_numpy(dtype=float)
    fits = []
    for entry in wanted:
        test = np.sort(place_of_test[tests.get((entry["fold"], entry["seed"]), [])])
        scored = scores.get(entry["row_id"], np.empty(0, dtype=np.int64))
        by_cell = np.full(len(ids), np.nan)
        by_cell[place_of_score[scored]] = values[scored]
        found = by_cell[test]
        if not len(test) or np.isnan(found).any():
            raise VerificationError(f"{PREDICTIONS} lacks scores of row {entry['row_id']}")
        place = (fraction, entry["fold"], entry["seed"])
        fits.append(TestedFit(place, test.astype(np.int64), found, entry["threshold"]))
    return fits


def _cost(folder: Path) -> dict[str, Any]:
    """Return GFLOPs, patches a second, device and seconds, as far as compute.json tells."""
    try:
        calls = json.loads((folder / COMPUTE).read_text(encoding="utf-8"))["calls"]
        network: dict[str, Any] = next((call["model"] for call in reversed(calls) if call.get("model")), {})
        rate: dict[str, Any] = next((call for call in reversed(calls) if call.get("patches_per_second")), {})
        seconds = sum(sum(call.get("seconds", {}).values()) for call in calls)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # brought from elsewhere without it
        return {}
    told = {key: network.get(key) for key in ("gflops", "parameters")}
    told |= {key: rate.get(key) for key in ("patches_per_second", "device")}
    return {key: value for key, value in told.items() if value} | {"seconds": seconds}
