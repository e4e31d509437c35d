"""Read runs for a report: refuse what is broken, and keep apart what must not be ranked together."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.errors import StorageError, VerificationError
from mitozoo.results.result import Result
from mitozoo.results.run_folder import COMPUTE
from mitozoo.results.run_reader import TestedFit, finished_entries, read_checked, read_fits
from mitozoo.results.tables import CELLS, KEPT, read_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

VOTES = "votes"
#: Parts that documents of earlier versions may lack.
ABSENT: dict[str, Any] = {"by_negatives": [], "only_in_test": {}, "image_controls": None, "candidate_count": None}


@dataclass(frozen=True, eq=False)
class Run:
    """A run as a report shows it.

    Attributes:
        name: the model's, made unique among the runs of a section.
        result: its document and folder.
        cells: its cell table, but for the votes.
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

    def votes(self) -> list[Sequence[int]]:
        """Read each cell's votes, 1 for the positive class; of very many cells they take much memory."""
        return read_table(self.result.folder / CELLS, (VOTES,), no_others=True)[VOTES].tolist()

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
    document = ABSENT | read_checked(folder)
    shown = [name for name in KEPT if name != VOTES]
    domains = [f"domain_{name}" for name in document["dataset"]["domains"]]
    cells = read_table(folder / CELLS, (*shown, *domains), no_others=True)
    done = finished_entries(document)
    largest = [entry for entry in done if entry["fraction"] == max(one["fraction"] for one in done)]
    fits = read_fits(folder, largest, cells["cell_id"])
    return Run(document["model"]["name"], Result(document, folder), cells, fits, _cost(folder))


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
