"""The linear probe: logistic regression on frozen embeddings, penalty and threshold chosen by grouped inner folds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from mitozoo.errors import ProtocolError
from mitozoo.plugins.record import record
from mitozoo.protocols.held_out import FIXED_THRESHOLD, blocks_of, hold_out, require_finite
from mitozoo.protocols.prediction import Prediction
from mitozoo.protocols.spec import Protocol
from mitozoo.statistics.metrics import best_threshold

if TYPE_CHECKING:
    from torch import Tensor

    from mitozoo.data.splits import Rows
    from mitozoo.protocols.design import Design

TIE = 1e-12  # log losses this close are equal, and the stronger penalty stays
LOST = 10.0  # times a step's change of the held-out loss: each step changes it by less than a third of the last


@record
class LinearProbe(Protocol):
    """Logistic regression on embeddings that are standardised inside each inner fold.

    The loss is mean log loss + lambda/2 |w|^2 with a free bias (scikit-learn's C = 1 / (lambda n)), without class
    weights. Lambda minimises the pooled held-out log loss of the inner folds, ties going to the stronger penalty.

    Attributes:
        lambdas: penalties to choose from, ascending.
        give_up_after: lambdas are tried from the strongest; once so many weaker ones in a row were no better, the
            rest, which separate the training cells ever further, are not tried.
        fixed_lambda: used, and flagged, where too few groups allow no inner folds.
    """

    kind: ClassVar[str] = "linear-probe"

    lambdas: tuple[float, ...] = tuple(10.0**exponent for exponent in range(-5, 4))
    give_up_after: int = 2
    fixed_lambda: float = 1.0

    def validate(self) -> None:
        """Refuse penalties that are not positive and ascending."""
        super().validate()
        grid = (*self.lambdas, self.fixed_lambda)
        if not all(0 < value < float("inf") for value in grid) or list(self.lambdas) != sorted(set(self.lambdas)):
            raise ProtocolError(f"lambdas must be positive and ascending, not {self.lambdas}")
        if not self.lambdas or self.give_up_after < 1:
            raise ProtocolError("there must be at least one lambda to try, and give_up_after must be at least 1")


def fit_linear_probe(
    protocol: LinearProbe,
    embeddings: npt.NDArray[np.float32] | Tensor,
    labels: npt.NDArray[np.int8],
    groups: npt.NDArray[np.str_],
    train: Rows,
    test: Rows,
    *,
    device: str = "cpu",
) -> Prediction:
    """Fit on the drawn training rows and score the test rows.

    Args:
        protocol: the recipe.
        embeddings: (n, d), one row a cell; a tensor where they lie on the device already.
        labels: (n,) 0 or 1; those of the test rows are never looked at.
        groups: (n,) names.
        train: drawn rows.
        test: rows to score.
        device: where to solve.

    Raises:
        DataError: an embedding holds NaN or infinity.
    """
    import torch

    from mitozoo.protocols.design import HELD_VALUES, Design
    from mitozoo.protocols.logistic import PenaltyPath

    require_finite(embeddings, train, test)
    parts, flags = hold_out(protocol, labels, groups, train)
    truth = torch.as_tensor(labels[train], device=device)
    if isinstance(embeddings, torch.Tensor):
        design = Design(embeddings[torch.as_tensor(train, device=device)], truth)
    elif len(train) * embeddings.shape[1] > HELD_VALUES and device == "cpu":  # taken where they lie, some at a time
        design = Design(torch.as_tensor(embeddings), truth, torch.as_tensor(train))
    else:
        design = Design(torch.as_tensor(embeddings[train], device=device), truth)
    threshold, validation_scores = FIXED_THRESHOLD, np.empty(0)
    if parts:
        choice = _choose_penalty(protocol, design, train, parts)
        validation_scores = _sigmoid(choice.held_out)
        threshold = best_threshold(validation_scores, labels[np.concatenate(parts)])
        if choice.penalty in (protocol.lambdas[0], protocol.lambdas[-1]):
            flags.append("lambda at the edge of its grid")
    else:
        choice = _Choice(protocol.fixed_lambda)
        flags.append(f"too few groups for inner folds: lambda fixed at {choice.penalty:g}, threshold at {threshold:g}")

    everyone = torch.ones(1, len(train), dtype=torch.bool, device=device)
    head = PenaltyPath(design, everyone, choice.start).solve(choice.penalty)
    converged = choice.converged and bool(head.converged.all())
    if not converged:
        flags.append("solver did not converge")
    weight, bias = head.weights[0].cpu().numpy(), head.bias.cpu().numpy()
    return Prediction(
        test_scores=_sigmoid(_products(embeddings, test, head.weights[0]) + bias),
        inner_parts=tuple(parts),
        validation_scores=validation_scores,
        threshold=threshold,
        selected={"lambda": choice.penalty},
        converged=converged,
        flags=tuple(flags),
        tensors={"weight": weight, "bias": bias},
    )


@dataclass(frozen=True)
class _Choice:
    """A penalty, the margins of the held-out cells in the order of the inner parts, and where to start the refit."""

    penalty: float
    held_out: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    start: Tensor | None = None
    converged: bool = True


def _choose_penalty(protocol: LinearProbe, design: Design, train: Rows, parts: list[Rows]) -> _Choice:
    """Walk from the strongest penalty to the weaker ones until they are no better any more."""
    import torch

    from mitozoo.protocols.logistic import PenaltyPath

    outside = [np.isin(train, part) for part in parts]
    truth = design.labels.cpu().numpy()[np.concatenate([np.flatnonzero(part) for part in outside])]
    path = PenaltyPath(design, torch.as_tensor(~np.stack(outside), device=design.labels.device))
    best, best_loss, worse, converged = _Choice(protocol.fixed_lambda), np.inf, 0, True
    for penalty in reversed(protocol.lambdas):
        rival = _Rival(outside, truth, best_loss)
        heads = path.solve(penalty, rival.has_lost)
        loss = rival.loss(heads.margins)
        converged = converged and (rival.lost or bool(heads.converged.all()))
        worse = 0 if loss < best_loss - TIE else worse + 1
        if worse == 0:
            best, best_loss = _Choice(penalty, rival.held_out(heads.margins), heads.start.mean(0, keepdim=True)), loss
        if worse == protocol.give_up_after:
            break
        del heads  # whose margins need not lie beside the next ones'
    return replace(best, converged=converged)


class _Rival:
    """A weaker penalty on its way, held against the best so far.

    One that has lost need not be solved to its last digit, and most steps would go into those digits: once all that a
    step changes of its held-out loss is a small part of what it lacks, no later and smaller step makes that up.
    """

    def __init__(self, outside: list[npt.NDArray[np.bool_]], truth: npt.NDArray[np.float64], best_loss: float) -> None:
        self.outside, self.truth, self.best_loss = outside, truth, best_loss
        self.before, self.lost = np.inf, False

    def held_out(self, margins: Tensor) -> npt.NDArray[np.float64]:
        """Return the margins of the held-out cells, in the order of the inner parts, from those of all (H, n)."""
        rows = margins.cpu().numpy()
        return np.concatenate([rows[index, part] for index, part in enumerate(self.outside)])

    def loss(self, margins: Tensor) -> float:
        """Return the pooled held-out log loss."""
        held_out = self.held_out(margins)
        return float((np.logaddexp(0, held_out) - self.truth * held_out).mean())

    def has_lost(self, margins: Tensor) -> bool:
        """Tell so after a step."""
        loss = self.loss(margins)
        self.lost = loss - self.best_loss > LOST * abs(loss - self.before)
        self.before = loss
        return self.lost


def _products(embeddings: npt.NDArray[np.float32] | Tensor, rows: Rows, weight: Tensor) -> npt.NDArray[np.float64]:
    """Return the products (len(rows),) of embeddings with a weight (d,), in double precision, where both lie."""
    if isinstance(embeddings, np.ndarray):
        column = weight.cpu().numpy()
        return np.concatenate([embeddings[some].astype(np.float64) @ column for some in blocks_of(rows)])
    return np.concatenate([(embeddings[some].double() @ weight).cpu().numpy() for some in blocks_of(rows)])


def _sigmoid(margins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(margins, -700, 700)))
