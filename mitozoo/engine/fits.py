"""What every way of fitting a protocol's rows has in common: what is fitted, and where perturbed copies stand."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mitozoo.results.row import DONE, Axes, ResultRow, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mitozoo.data.audit import PixelHashes
    from mitozoo.data.patches import PatchPlan
    from mitozoo.engine.progress import Advance
    from mitozoo.protocols.prediction import Prediction


@dataclass(frozen=True, eq=False)
class Fit:
    """One thing to fit.

    Attributes:
        rows: what is scored with it: the test cells as they are, and as perturbations leave them.
        train: (n,) drawn training rows.
        test: (m,) test rows.
    """

    rows: Sequence[Axes]
    train: Rows
    test: Rows


class Fitter(Protocol):
    """Whoever makes rows."""

    stage: str
    unit: str
    computed: int
    device: str

    def prepare(self) -> PixelHashes | None:
        """Get ready whatever all rows share; return a digest of each cell's pixels where they were read."""

    def fit(self, fits: Sequence[Fit], advance: Advance) -> Iterator[list[ResultRow]]:
        """Make all fits, and yield each one's rows as soon as it is made, in any order."""


@dataclass(frozen=True)
class Perturbed:
    """Test cells as one perturbation leaves them.

    Attributes:
        name: of the perturbation.
        rows: (m,) which cells, ascending.
        plan: their windows, in this order.
    """

    name: str
    rows: Rows
    plan: PatchPlan


class Copies:
    """The perturbed test cells, counted on behind the n cells themselves as rows n, n + 1, and so on."""

    def __init__(self, cells: int, perturbed: Sequence[Perturbed]) -> None:
        self.perturbed = perturbed
        starts = cells + np.cumsum([0, *(len(one.rows) for one in perturbed)])
        self.starts = {one.name: int(start) for one, start in zip(perturbed, starts[:-1], strict=True)}
        #: (n + all copies,) which cell each of them shows
        self.shown = np.concatenate([np.arange(cells), *(one.rows for one in perturbed)])

    def tested(self, rows: Sequence[Axes], test: Rows) -> list[Rows]:
        """Return, for each row of one fit, the places of what it scores."""
        rows_of = {one.name: one.rows for one in self.perturbed}
        return [
            self.starts[axes.perturbed] + np.searchsorted(rows_of[axes.perturbed], test) if axes.perturbed else test
            for axes in rows
        ]

    def rows_of(self, rows: Sequence[Axes], train: Rows, test: Rows, prediction: Prediction) -> list[ResultRow]:
        """Return the rows of one fit, whose scores stand in the order of `tested`."""
        made = []
        for place, axes in enumerate(rows):
            own = dataclasses.replace(
                prediction, test_scores=prediction.test_scores[place * len(test) : (place + 1) * len(test)]
            )
            if axes.perturbed:  # what was chosen is the fit's own, and so is what was fitted
                nothing = np.empty(0)
                own = dataclasses.replace(own, inner_parts=(), validation_scores=nothing, tensors={})
            made.append(_row(axes, train, test, own))
        return made


def _row(axes: Axes, train: Rows, test: Rows, prediction: Prediction) -> ResultRow:
    return ResultRow(
        axes=axes, status=DONE, train=train, inner_parts=prediction.inner_parts, test=test,
        test_scores=prediction.test_scores, validation_scores=prediction.validation_scores,
        threshold=prediction.threshold, selected=prediction.selected, converged=prediction.converged,
        flags=prediction.flags, tensors=prediction.tensors,
    )  # fmt: skip
