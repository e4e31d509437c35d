"""Where perturbed copies of test cells stand, and the rows of a fit that scored cells and copies at once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mitozoo.results.row import DONE, Axes, ResultRow, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.data.patches import PatchPlan
    from mitozoo.protocols.prediction import Prediction


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
