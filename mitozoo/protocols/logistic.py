"""Many logistic-regression heads over the same cells, solved together by preconditioned Newton steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import softplus

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitozoo.protocols.design import Design

GRADIENT_TOLERANCE = 1e-7  # of the largest entry; where a weak penalty bends the loss little, less: 1e-4 of it
MAX_NEWTON_STEPS = 100
MAX_CG_STEPS = 200
MANY_CG_STEPS = 25  # from here on a curvature measured anew costs less than it saves
UNWATCHED = 8  # steps on a GPU between two looks at whether they suffice: each look waits for all that was asked


@dataclass(frozen=True)
class Heads:
    """H fitted heads: margin = embeddings @ weights.T + bias.

    Attributes:
        weights: (H, d) float64, for embeddings as they came.
        bias: (H,) float64.
        converged: (H,) whether the largest gradient entry fell below the tolerance.
        margins: (H, n) of all cells, fitted on or not.
        start: (H, d + 1) the same solution in the solver's own coordinates.
    """

    weights: Tensor
    bias: Tensor
    converged: Tensor
    margins: Tensor
    start: Tensor


class PenaltyPath:
    """Heads over parts of the same cells, solved for one penalty after another, each from the last solution.

    A head minimises mean log loss + penalty/2 |w|^2 over its members, where w acts on features that are standardised
    among these members alone (a standard deviation of 0 counts as 1); the bias is free.
    """

    def __init__(self, design: Design, members: Tensor, start: Tensor | None = None) -> None:
        """Take members (H, n) bool, each row with both classes, and the coordinates (H, d + 1) to start from."""
        self.design = design
        self.members, self.counts = members, members.sum(1, keepdim=True)
        self.scale = design.deviations_within(self._share)
        self.scale[:, -1] = 1.0
        self.typical = self.scale.square().mean(0).sqrt()
        prevalence = torch.stack([self._share(where) @ design.labels[where] for where in design.slices]).sum(0)
        self.weights = torch.zeros_like(self.scale)
        self.weights[:, -1] = prevalence.logit()
        if start is not None:
            self.weights.copy_(start)
        self.curvature = (prevalence * (1 - prevalence)).mean().float() * design.uniform_curvature
        self.stale = False
        self.on_gpu = members.device.type != "cpu"

    def solve(self, penalty: float, enough: Callable[[Tensor], bool] = lambda margins: False) -> Heads:
        """Return all heads for a penalty > 0.

        Args:
            penalty: lambda.
            enough: told the margins (H, n) after each step; where it says so, the heads stay as they are by then.
        """
        design, self.ridge = self.design, penalty * self.scale.square()
        self.ridge[:, -1] = 0.0
        tolerance = min(GRADIENT_TOLERANCE, 1e-4 * penalty)
        margins = design.margins(self.weights)
        converged = torch.zeros(len(margins), dtype=torch.bool, device=margins.device)
        active, invert = torch.arange(len(margins), device=margins.device), None
        for _ in range(MAX_NEWTON_STEPS):
            gradient = self._gradient(active, margins)
            left = (gradient / self.scale[active]).abs().amax(1) >= tolerance
            converged[active[~left]] = True
            active, gradient = active[left], gradient[left]
            if not len(active):
                break
            bend = self._bend(active, margins)
            if self.stale:
                self.curvature, invert = design.curvature(bend.mean(0)), None
            invert = invert or self._inverse(penalty)
            step, count = self._newton_step(active, gradient, bend, invert)
            self.stale = count > MANY_CG_STEPS
            moved = design.margins(step)
            length = self._line_search(active, gradient, step, margins, moved)[:, None]
            self.weights[active] += length * step
            for where in design.slices:
                margins[:, where][active] += length * moved[:, where]
            if not bool((length > 0).any()) or enough(margins):
                break  # nothing but rounding is left, or nobody asks for more
        weights = self.weights[:, :-1] / design.deviation
        bias = self.weights[:, -1] - weights @ design.mean
        return Heads(weights, bias, converged, margins, self.weights.clone())

    def _share(self, where: slice) -> Tensor:
        """Return (H, m) the weights of some cells in each head's mean."""
        return self.members[:, where].to(torch.float64) / self.counts

    def _gradient(self, active: Tensor, margins: Tensor) -> Tensor:
        """Return (a, d + 1) of the active heads' objectives, where all heads have margins (H, n)."""
        labels = self.design.labels

        def residual(where: slice) -> Tensor:
            return self._share(where)[active] * (margins[:, where][active].sigmoid() - labels[where])

        return self.design.summed(residual) + self.ridge[active] * self.weights[active]

    def _bend(self, active: Tensor, margins: Tensor) -> Tensor:
        """Return (a, n), in single precision, how much each cell bends the active heads' objectives."""
        bend = torch.empty(len(active), margins.shape[1], dtype=torch.float32, device=margins.device)
        for where in self.design.slices:
            chance = margins[:, where][active].sigmoid()
            bend[:, where] = self._share(where)[active] * chance * (1 - chance)
        return bend

    def _newton_step(
        self, active: Tensor, gradient: Tensor, bend: Tensor, invert: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, int]:
        """Solve Hessian @ step = -gradient by conjugate gradients, loosely while far from the optimum.

        In single precision, which costs no accuracy: gradients and objectives, in double, judge every step.
        """
        single, ridge = self.design.single, self.ridge[active].float()
        ratio = (self.typical / self.scale[active]).float()  # so that each head's own penalty is inverted exactly
        size = (gradient / self.scale[active]).abs().amax(1, keepdim=True)  # keeps tiny gradients in range
        residual = (-gradient / size).float()
        step, ahead = torch.zeros_like(residual), ratio * invert(ratio * residual)
        direction, product = ahead, (residual * ahead).sum(1)
        goal = product * torch.clamp(10 * size[:, 0], min=1e-4, max=0.03).float().square()
        count, unwatched = torch.zeros((), dtype=torch.int64, device=step.device), UNWATCHED if self.on_gpu else 1
        for number in range(MAX_CG_STEPS):
            going = product > goal
            if number % unwatched == 0 and not bool(going.any()):
                break
            count += going.any()
            image = ridge * direction
            for where in self.design.pieces:
                image.addmm_(bend[:, where] * (direction @ single[where].T), single[where])
            length = torch.where(going, product / (direction * image).sum(1).clamp(min=1e-30), 0.0)[:, None]
            step += length * direction
            residual -= length * image
            ahead = ratio * invert(ratio * residual)
            updated = torch.where(going, (residual * ahead).sum(1), product)
            direction = ahead + (updated / product.clamp(min=1e-30))[:, None] * direction
            product = updated
        return step.double() * size, int(count)

    def _line_search(self, active: Tensor, gradient: Tensor, step: Tensor, margins: Tensor, moved: Tensor) -> Tensor:
        """Halve each head's step until its objective falls enough; a step too short to matter becomes 0."""
        ridge, weights, labels = self.ridge[active], self.weights[active], self.design.labels

        def loss(length: Tensor, where: slice) -> Tensor:
            reached = margins[:, where][active] + length[:, None] * moved[:, where]
            losses = softplus(reached, threshold=40) - labels[where] * reached  # from 40 on they are equal to rounding
            return (self._share(where)[active] * losses).sum(1)

        def objective(length: Tensor) -> Tensor:
            losses = torch.stack([loss(length, where) for where in self.design.slices]).sum(0)
            return losses + (ridge * (weights + length[:, None] * step).square()).sum(1) / 2

        slope, length = (gradient * step).sum(1), torch.ones_like(gradient[:, 0])
        before = objective(0 * length)
        for _ in range(40):
            short = objective(length) > before + 1e-4 * length * slope + 1e-14 * before.abs()
            if not bool(short.any()):
                break
            length = torch.where(short, length / 2, length)
        return torch.where(short, 0.0, length)

    def _inverse(self, penalty: float) -> Callable[[Tensor], Tensor]:
        """Return a function that multiplies vectors (H, d + 1) by the inverse of the heads' typical Hessian."""
        axes, matrix = self.design.axes, self.curvature.clone()
        diagonal, jitter = matrix.diagonal(), 1e-8 * matrix.trace()
        diagonal += penalty if axes is not None else self.ridge.mean(0).float()
        factor, failed = torch.linalg.cholesky_ex(matrix)
        while bool(failed):  # rounding made it indefinite
            diagonal += jitter
            jitter = 10 * jitter
            factor, failed = torch.linalg.cholesky_ex(matrix)
        inverse = torch.cholesky_inverse(factor) if self.on_gpu else None  # which solves row after row, slowly

        def solve(vectors: Tensor) -> Tensor:
            if inverse is not None:
                return vectors @ inverse
            half = torch.linalg.solve_triangular(factor, vectors.T, upper=False)  # cholesky_solve copies the factor
            return torch.linalg.solve_triangular(factor.T, half, upper=True).T

        if axes is None:
            return solve

        def invert(vectors: Tensor) -> Tensor:
            inside = vectors @ axes.T
            return vectors / penalty + (solve(inside) - inside / penalty) @ axes

        return invert
