"""The probe of the code released with Ammeling et al. (2026), each of its known faults a named switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from mitozoo.errors import ProtocolError
from mitozoo.plugins.record import record
from mitozoo.protocols.held_out import FIXED_THRESHOLD, require_finite
from mitozoo.protocols.prediction import Floats, Prediction, Rows
from mitozoo.protocols.spec import Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

CLASSES = 2
#: How the released code divides and shows its data: five draws of a fifth of the annotations, seeds 42 to 46, black
#: beyond the border, crops of 224 px of whatever size a pixel has.
AS_RELEASED: Mapping[str, Any] = {
    "split": "random", "outer_folds": 5, "split_seed": 42, "fraction_of": "cells", "edge": "black",
    "geometry": "native",
}  # fmt: skip


@record
class Ammeling2026Probe(Protocol):
    """Logistic regression as the released code fits it: L-BFGS on embeddings as they come, nothing chosen.

    The loss is mean cross-entropy of two outputs + |W| / (2 C), where C = dimensions x classes / 100; the bias is free
    and all starts at 0. No inner folds: the threshold is 0.5. Solved in double precision, where the released code uses
    single.

    Attributes:
        norm: 'unsquared' as released; 'squared' penalises |W|^2, as ridge regression does.
        standardised: whether features are standardised over the cells that are fitted; not so as released.
        thrown_away: share of the drawn cells, at random, that the released code leaves out so that its probe is fitted
            on as many cells as its trained networks are.
        max_iterations: of L-BFGS.
        inferred: what the paper that is followed does not say, taken from this code.
    """

    kind: ClassVar[str] = "ammeling2026-probe"

    norm: Literal["unsquared", "squared"] = "unsquared"
    standardised: bool = False
    thrown_away: float = 0.2
    max_iterations: int = 1000
    inferred: tuple[str, ...] = ()

    def validate(self) -> None:
        """Refuse to throw away everything, and to take no step."""
        super().validate()
        if not 0 <= self.thrown_away < 1:
            raise ProtocolError(f"thrown_away is {self.thrown_away}; it must be at least 0 and below 1")
        if self.max_iterations < 1:
            raise ProtocolError(f"max_iterations is {self.max_iterations}; it must be at least 1")


def fit_ammeling2026_probe(
    protocol: Ammeling2026Probe,
    embeddings: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int8],
    groups: npt.NDArray[np.str_],  # noqa: ARG001 - the released code knows no groups
    train: Rows,
    test: Rows,
    *,
    device: str = "cpu",
) -> Prediction:
    """Fit on the drawn training rows and score the test rows; arguments as in `fit_linear_probe`.

    Raises:
        DataError: an embedding holds NaN or infinity.
    """
    import torch

    require_finite(embeddings, train, test)
    fitted = kept_rows(train, labels, protocol.thrown_away, protocol.split_seed)
    features = torch.as_tensor(embeddings[fitted], device=device).double()
    centre, scale = torch.zeros_like(features[0]), torch.ones_like(features[0])
    if protocol.standardised:
        centre, scale = features.mean(0), features.std(0, correction=0)
        scale = torch.where(scale > 0, scale, 1.0)
    target = torch.as_tensor(labels[fitted].astype(np.int64), device=device)
    weight, bias, iterations, converged = solve(
        (features - centre) / scale, target, norm=protocol.norm, max_iterations=protocol.max_iterations
    )
    tested = (torch.as_tensor(embeddings[test], device=device).double() - centre) / scale
    scores: Floats = (tested @ weight.T + bias).softmax(1)[:, 1].cpu().numpy()
    faults = {
        "solver was stopped at max_iterations": not converged,
        "the penalty outweighs all that the embeddings tell: every weight is 0": not bool(weight.any()),
    }
    return Prediction(
        test_scores=scores,
        inner_parts=(),
        validation_scores=np.empty(0),
        threshold=FIXED_THRESHOLD,
        selected={"C": cost(features.shape[1]), "iterations": iterations, "cells_fitted": len(fitted)},
        converged=converged,
        flags=tuple(fault for fault, found in faults.items() if found),
        tensors={name: tensor.cpu().numpy() for name, tensor in
                 {"weight": weight, "bias": bias, "centre": centre, "scale": scale}.items()},
    )  # fmt: skip


def kept_rows(train: Rows, labels: npt.NDArray[np.int8], thrown_away: float, seed: int) -> Rows:
    """Return the drawn rows less a random share of them; all of them where a class would be gone."""
    random = np.random.RandomState([seed, len(train)])
    kept = np.sort(random.permutation(train)[: len(train) - int(thrown_away * len(train))])
    return kept if len(np.unique(labels[kept])) == CLASSES else train


def cost(dimensions: int) -> float:
    """Return the released code's C, the inverse of the penalty's strength."""
    return dimensions * CLASSES / 100


def solve(features: Tensor, target: Tensor, *, norm: str, max_iterations: int) -> tuple[Tensor, Tensor, int, bool]:
    """Return the weight (2, d) and bias (2,) of lowest loss, the number of iterations, and whether no limit ended them.

    Args:
        features: (n, d) float64.
        target: (n,) 0 or 1.
        norm: 'unsquared' or 'squared'.
        max_iterations: of L-BFGS, with strong Wolfe line search, as torch has it: 1.25 evaluations for each.
    """
    import torch

    weight = features.new_zeros(CLASSES, features.shape[1], requires_grad=True)
    bias = features.new_zeros(CLASSES, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], line_search_fn="strong_wolfe", max_iter=max_iterations)

    def closure() -> float:
        optimiser.zero_grad()
        length = weight.norm() if norm == "unsquared" else weight.square().sum()
        loss = torch.nn.functional.cross_entropy(features @ weight.T + bias, target)
        loss = loss + length / (2 * cost(features.shape[1]))
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    state, limits = optimiser.state[weight], optimiser.param_groups[0]
    iterations = int(state["n_iter"])
    converged = iterations < max_iterations and int(state["func_evals"]) < limits["max_eval"]
    return weight.detach(), bias.detach(), iterations, converged
