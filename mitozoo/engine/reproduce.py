"""Repeat what was published, and say how far off the repetition is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mitozoo.data.cells import read_cells
from mitozoo.data.folds import SplitRecipe, make_folds
from mitozoo.engine.evaluate import evaluate
from mitozoo.engine.find_dataset import data_folder, find_data
from mitozoo.errors import DataError
from mitozoo.protocols.presets import find_protocol
from mitozoo.results.tested import read_tested
from mitozoo.statistics.controls import slide_prior
from mitozoo.statistics.metrics import METRICS, compute

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mitozoo.engine.published import PublishedRow, PublishedValue
    from mitozoo.results.result import Result

WEIGHTED_F1 = "weighted_f1"
HALF = 0.5
Verdict = Literal["within", "outside", "difference only"]


@dataclass(frozen=True)
class Repeated:
    """A published value and its repetition.

    Attributes:
        name: of the row.
        published: the value.
        here: the repetition's.
        verdict: 'within' or 'outside' its tolerance; 'difference only' where what was done had to be inferred.
    """

    name: str
    published: PublishedValue
    here: float
    verdict: Verdict

    @property
    def difference(self) -> float:
        """The repetition minus the published value."""
        return self.here - self.published.value


def reproduce(row: PublishedRow, folders: Mapping[str, Path], **asked: Any) -> list[Repeated]:
    """Repeat one row; a run that is there already is not computed again.

    Args:
        row: what was published.
        folders: dataset -> folder of its files, where it is not the one that was fetched.
        **asked: how and where it runs: attributes of `Request` that change no number that is asked for, and `progress`.

    Raises:
        MitozooError: something is not at hand, or the published metric is not defined here.
    """
    if row.control:
        measured = _of_slide_prior(row, folders)
    else:
        result = evaluate(
            row.model, row.dataset, data=data_folder(row.dataset, folders.get(row.dataset)), protocol=row.protocol,
            fractions=(row.fraction,), split=row.split or None, domain=row.domain, test_on=row.test_on,
            test_data={name: folders[name] for name in row.test_on if name in folders}, controls="labels", **asked,
        )  # fmt: skip
        measured = {value.metric: _of_result(row, value.metric, result) for value in row.values}
    return [Repeated(row.name, value, measured[value.metric], _verdict(row, value, measured)) for value in row.values]


def _verdict(row: PublishedRow, value: PublishedValue, measured: Mapping[str, float]) -> Verdict:
    if not row.is_judged or value.tolerance is None:
        return "difference only"
    return "within" if abs(measured[value.metric] - value.value) <= value.tolerance else "outside"


def _of_slide_prior(row: PublishedRow, folders: Mapping[str, Path]) -> dict[str, float]:
    """Score the positive rate of each test cell's own slide in training; labels are read, and no image."""
    source = find_data(row.dataset, folders.get(row.dataset))
    cells = read_cells(source.spec, source.folder)
    parameters = find_protocol(row.protocol).parameters()
    recipe = SplitRecipe(parameters["split"], parameters["outer_folds"], parameters["split_seed"])
    labels, slides = cells.labels, cells.table["slide"].to_numpy(dtype=np.str_)
    official = cells.table["split"].to_numpy(dtype=np.str_)
    found: dict[str, list[float]] = {value.metric: [] for value in row.values}
    for fold in make_folds(labels, cells.groups, official, {}, recipe):
        scores = slide_prior(labels[fold.train], slides[fold.train], slides[fold.test])
        measured = compute(scores, labels[fold.test], slides=slides[fold.test], threshold=HALF)
        for metric, values in found.items():
            if metric == WEIGHTED_F1:
                values.append(_weighted_f1(scores, labels[fold.test]))
            else:
                values.append(float(measured[metric][0]) if metric in measured else _undefined(metric, row.name))
    return {metric: float(np.mean(values)) for metric, values in found.items()}


def _of_result(row: PublishedRow, metric: str, result: Result) -> float:
    """Return a metric's mean over folds, or over the domains that it is asked of."""
    if metric == WEIGHTED_F1:
        tested = read_tested(result.folder, fraction=row.fraction)
        labels = tested.cells["label"].to_numpy(dtype=np.int8)
        return float(np.mean([_weighted_f1(fit.scores, labels[fit.cell]) for fit in tested.fits]))
    if row.part:
        values = [
            entry["metrics"][metric]["mean"]
            for entry in result.document["by_domain"]
            if entry["domain"] == row.domain and metric in entry["metrics"]
            and (entry["trained_on"] == f"{row.domain}={entry['value']}") == (row.part == "in-domain")
        ]  # fmt: skip
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else _undefined(metric, row.name)
    found = result.mean(metric, row.fraction) if metric in METRICS else None
    return _undefined(metric, row.name) if found is None else found


def _weighted_f1(scores: Any, labels: Any) -> float:
    """Return the F1 of each class at 0.5, weighted by its cells."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, np.asarray(scores) >= HALF, average="weighted"))


def _undefined(metric: str, row: str) -> float:
    raise DataError(f"{row}: metric '{metric}' is not known here, or is undefined in this run")
