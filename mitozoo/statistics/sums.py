"""Metrics that are made of sums over cells, so that a replicate is one row of a matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mitozoo.statistics.arrays import Codes, Floats

#: Metrics of the cells called positive; each also with `_at_half`, the threshold 0.5.
AT_THRESHOLD = ("balanced_accuracy", "f1", "mcc", "sensitivity", "specificity", "accuracy")
TEMPERED = "_after_temperature"
EQUAL_WIDTH_BINS = 15


class Sums:
    """Confusion counts at the threshold and at 0.5, squared error, log loss and residuals by bin of score.

    Args:
        scores: (n,) probabilities of the positive class.
        positive: (n,) 1.0 for a positive cell, 0.0 for a negative one.
        units: (n,) which column of the weights belongs to each cell, from 1 on.
        threshold: a cell is called positive where its score is not below it.
        tempered: (n,) the scores after a temperature; None where it changes nothing.
    """

    def __init__(
        self, scores: Floats, positive: Floats, units: Codes, threshold: float, tempered: Floats | None = None
    ) -> None:
        columns = {"positives": positive, "negatives": 1 - positive}
        for ending, cut in (("", threshold), ("_at_half", 0.5)):
            called = scores >= cut
            columns |= {f"true{ending}": called * positive, f"false{ending}": called * (1 - positive)}
        self._versions = {"": scores} | ({} if tempered is None else {TEMPERED: tempered})
        for ending, chances in self._versions.items():
            columns |= {name + ending: column for name, column in _errors(chances, positive).items()}
        self._names = tuple(columns)
        self._by_unit = np.stack([np.bincount(units, column) for column in columns.values()], axis=1)

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Return each of these metrics, (b,), for weights (b, units)."""
        sums = dict(zip(self._names, (weights[:, : len(self._by_unit)] @ self._by_unit).T, strict=True))
        positives, negatives = sums["positives"], sums["negatives"]
        cells = positives + negatives
        values: dict[str, Floats] = {}
        for ending in ("", TEMPERED):
            of = ending if ending in self._versions else ""
            values |= {name + ending: sums[name + of] / cells for name in ("brier", "log_loss")}
            gaps = np.sum([np.abs(sums[f"bin_{k}{of}"]) for k in range(EQUAL_WIDTH_BINS)], axis=0)
            values[f"ece{ending}"] = gaps / cells
        for ending in ("", "_at_half"):
            called = _confusion(sums[f"true{ending}"], sums[f"false{ending}"], positives, negatives)
            values |= {name + ending: called[name] for name in AT_THRESHOLD}
        return values


def _errors(scores: Floats, positive: Floats) -> dict[str, Floats]:
    """Return each cell's squared error, log loss, and residual in the bin of its score, (n,) each."""
    smallest = np.finfo(np.float64).eps
    of_label = np.where(positive > 0, scores, 1 - scores)
    errors = {"brier": (scores - positive) ** 2, "log_loss": -np.log(np.clip(of_label, smallest, 1 - smallest))}
    bins = np.minimum(np.floor(scores * EQUAL_WIDTH_BINS), EQUAL_WIDTH_BINS - 1)
    return errors | {f"bin_{k}": (positive - scores) * (bins == k) for k in range(EQUAL_WIDTH_BINS)}


def _confusion(true: Floats, false: Floats, positives: Floats, negatives: Floats) -> dict[str, Floats]:
    missed, rejected = positives - true, negatives - false
    sensitivity, specificity = true / positives, rejected / negatives
    spread = np.sqrt(true + false) * np.sqrt(missed + rejected) * np.sqrt(positives) * np.sqrt(negatives)
    agreement = true * rejected - false * missed
    return {
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "f1": 2 * true / (2 * true + false + missed),
        "mcc": np.divide(agreement, spread, out=np.zeros_like(spread), where=spread > 0),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "accuracy": (true + rejected) / (positives + negatives),
    }
