"""The linear probe: logistic regression on frozen embeddings, penalty and threshold chosen by grouped inner folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from mitozoo.data.splits import Rows, inner_folds
from mitozoo.errors import ProtocolError
from mitozoo.plugins.record import record
from mitozoo.protocols.prediction import Prediction
from mitozoo.protocols.spec import Protocol
from mitozoo.statistics.metrics import best_threshold

if TYPE_CHECKING:
    from torch import Tensor

FIXED_THRESHOLD = 0.5
TOGETHER = 3  # penalties solved in one go: enough to fill the matrix products, few enough to stop early


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


def fit_linear_probe(
    protocol: LinearProbe,
    embeddings: npt.NDArray[np.float32],
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
        embeddings: (n, d), one row a cell.
        labels: (n,) 0 or 1; those of the test rows are never looked at.
        groups: (n,) names.
        train: drawn rows.
        test: rows to score.
        device: where to solve.
    """
    import torch

    from mitozoo.protocols.logistic import solve_heads

    parts = inner_folds(labels, groups, train, folds=protocol.inner_folds, seed=protocol.split_seed)
    raw = torch.as_tensor(np.asarray(embeddings[train], dtype=np.float64), device=device)
    mean, deviation = raw.mean(0), raw.std(0, correction=0)
    deviation = torch.where(deviation > 1e-9 * mean.abs().clamp(min=1e-9), deviation, 1.0)
    features = (raw - mean) / deviation
    target = torch.as_tensor(labels[train].astype(np.int64), device=device)
    flags = [f"{len(parts)} inner folds instead of {protocol.inner_folds}"] if len(parts) < protocol.inner_folds else []

    penalty, threshold, converged = protocol.fixed_lambda, FIXED_THRESHOLD, True
    validation_scores = np.empty(0)
    if parts:
        penalty, held_out, converged = _choose_penalty(protocol, features, target, train, parts)
        validation_labels = labels[np.concatenate(parts)]
        validation_scores = _sigmoid(held_out)
        threshold = best_threshold(validation_scores, validation_labels)
        if penalty in (protocol.lambdas[0], protocol.lambdas[-1]):
            flags.append("lambda at the edge of its grid")
    else:
        flags.append(f"too few groups for inner folds: lambda fixed at {penalty:g}, threshold at {threshold:g}")

    everyone = torch.ones(len(train), 1, dtype=torch.bool, device=device)
    head = solve_heads(features, target, everyone, torch.tensor([penalty], dtype=torch.float64, device=device))
    converged = converged and bool(head.converged.all())
    if not converged:
        flags.append("solver did not converge")
    weights = head.weights[:, 0] / deviation
    bias = head.bias[0] - mean @ weights
    unseen = torch.as_tensor(np.asarray(embeddings[test], dtype=np.float64), device=device)
    return Prediction(
        test_scores=_sigmoid((unseen @ weights + bias).cpu().numpy()),
        inner_parts=tuple(parts),
        validation_scores=validation_scores,
        threshold=threshold,
        selected={"lambda": penalty},
        converged=converged,
        flags=tuple(flags),
        tensors={"weight": weights.cpu().numpy(), "bias": bias.cpu().numpy()[None]},
    )


def _choose_penalty(
    protocol: LinearProbe, features: Tensor, target: Tensor, train: Rows, parts: list[Rows]
) -> tuple[float, npt.NDArray[np.float64], bool]:
    """Return the best penalty, its held-out margins in the order of the parts, and whether all heads converged."""
    import torch

    from mitozoo.protocols.logistic import solve_heads

    outside = [np.isin(train, part) for part in parts]
    members = torch.as_tensor(~np.stack(outside, axis=1), device=features.device)
    truth = target.cpu().numpy()[np.concatenate([np.flatnonzero(part) for part in outside])]
    best_loss, best_penalty, best_margins, converged, worse = np.inf, np.nan, np.empty(0), True, 0
    descending = protocol.lambdas[::-1]
    for start in range(0, len(descending), TOGETHER):
        grid = torch.tensor(descending[start : start + TOGETHER], dtype=torch.float64, device=features.device)
        heads = solve_heads(features, target, members.repeat_interleave(len(grid), dim=1), grid.repeat(len(parts)))
        margins = (features @ heads.weights + heads.bias).reshape(len(train), len(parts), len(grid)).cpu().numpy()
        for place, penalty in enumerate(grid.tolist()):
            held_out = np.concatenate([margins[part, index, place] for index, part in enumerate(outside)])
            loss = float((np.logaddexp(0, held_out) - truth * held_out).mean())
            converged = converged and bool(heads.converged[place :: len(grid)].all())
            worse = 0 if loss < best_loss - 1e-12 else worse + 1
            if worse == 0:
                best_loss, best_penalty, best_margins = loss, penalty, held_out
            if worse == protocol.give_up_after:
                return best_penalty, best_margins, converged
    return best_penalty, best_margins, converged


def _sigmoid(margins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(margins, -700, 700)))
