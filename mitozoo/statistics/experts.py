"""Several persons' votes on the same cells: how far they agree, and each one against the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from mitozoo.statistics.arrays import Codes, Floats
    from mitozoo.statistics.estimates import ScoredRow

TIE = 0.5


def majority_of_others(votes: ArrayLike) -> Floats:
    """Return (n, k): for each cell and expert what most of the other experts say, 0 or 1, and 0.5 where they tie.

    Args:
        votes: (n, k) of at least 2 experts, 1 for the positive class, else 0.
    """
    given = np.asarray(votes, dtype=float)
    others = given.shape[1] - 1
    if others < 1:
        raise ValueError("an expert needs at least one other to be compared with")
    return (np.sign(2 * (given.sum(axis=1, keepdims=True) - given) - others) + 1) / 2


def fleiss_kappa(votes: ArrayLike) -> float:
    """Return Fleiss' kappa of (n, k) votes: agreement of all experts beyond chance; NaN where all say the same."""
    given = np.asarray(votes, dtype=float)
    experts, positive = given.shape[1], given.sum(axis=1)
    pairs = positive * (positive - 1) + (experts - positive) * (experts - positive - 1)
    agreement = (pairs / (experts * (experts - 1))).mean()
    rate = given.mean()
    chance = rate**2 + (1 - rate) ** 2
    return float((agreement - chance) / (1 - chance)) if chance < 1 else float("nan")


@dataclass(frozen=True)
class Reference:
    """Cells with what they are taken for; a tie is not settled, but stands for half a positive and half a negative.

    Attributes:
        cells: (m,) rows of the cell table; in `halved` references each cell stands twice.
        labels: (m,) 0 or 1.
    """

    cells: Codes
    labels: Codes

    def of(self, row: ScoredRow, row_id: str) -> ScoredRow:
        """Return a row on its cells here, numbered as they stand here."""
        place = np.full(max(int(self.cells.max(initial=-1)), int(row.cell.max(initial=-1))) + 1, -1)
        place[row.cell] = np.arange(len(row.cell))
        here = np.flatnonzero(place[self.cells] >= 0)
        return replace(row, row_id=row_id, cell=here, scores=row.scores[place[self.cells[here]]])


def halved(reference: ArrayLike) -> Reference:
    """Return every cell twice; one that is tied (0.5) once as positive and once as negative, others twice alike."""
    truth = np.asarray(reference, dtype=float)
    cells = np.arange(len(truth))
    labels = np.concatenate([truth >= TIE, truth > TIE]).astype(np.intp)
    return Reference(np.concatenate([cells, cells]), labels)


def dropped(reference: ArrayLike) -> Reference:
    """Return the cells that are not tied."""
    truth = np.asarray(reference, dtype=float)
    cells = np.flatnonzero(truth != TIE)
    return Reference(cells, (truth[cells] > TIE).astype(np.intp))


def soft_errors(scores: ArrayLike, share: ArrayLike) -> dict[str, float]:
    """Return Brier score and log loss of (n,) probabilities against the share (n,) of positive votes.

    `log_loss_floor` is the least log loss that is possible: that of the shares themselves.
    """
    chances, shares = np.asarray(scores, dtype=float), np.asarray(share, dtype=float)
    return {
        "brier": float(((chances - shares) ** 2).mean()),
        "log_loss": _cross_entropy(chances, shares),
        "log_loss_floor": _cross_entropy(shares, shares),
    }


def _cross_entropy(chances: Floats, shares: Floats) -> float:
    smallest = np.finfo(np.float64).eps
    kept = np.clip(chances, smallest, 1 - smallest)
    return float(-(shares * np.log(kept) + (1 - shares) * np.log1p(-kept)).mean())
