"""Many logistic-regression heads over the same cells, solved together by preconditioned Newton steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

GRADIENT_TOLERANCE = 1e-7
MAX_NEWTON_STEPS = 100
MAX_CG_STEPS = 200


@dataclass(frozen=True)
class Heads:
    """H fitted heads over d features: margin = features @ weights + bias.

    Attributes:
        weights: (d, H), float64.
        bias: (H,), float64.
        converged: (H,), whether the largest gradient entry fell below `GRADIENT_TOLERANCE`.
    """

    weights: Tensor
    bias: Tensor
    converged: Tensor


def solve_heads(features: Tensor, labels: Tensor, members: Tensor, penalties: Tensor) -> Heads:
    """Minimise, for each head, mean log loss + penalty/2 |w|^2 over its members, standardised among themselves.

    The penalty acts on the weights of features that were standardised within the head's own members (a standard
    deviation of 0 counts as 1); the returned weights act on `features` as given. The bias is free.

    Args:
        features: (n, d) float64, roughly standardised over all n cells.
        labels: (n,) 0 or 1.
        members: (n, H) bool, the cells that each head is fitted on; each head needs both classes.
        penalties: (H,) positive.
    """
    problem = _Problem(features, labels, members, penalties)
    heads = penalties.shape[0]
    weights = features.new_zeros(features.shape[1], heads)
    bias = features.new_zeros(heads)
    converged = torch.zeros(heads, dtype=torch.bool, device=features.device)
    active = torch.arange(heads, device=features.device)
    for _ in range(MAX_NEWTON_STEPS):
        now = problem.of(active)
        margins = features @ weights[:, active] + bias[active]
        gradient, bias_gradient = now.gradient(margins, weights[:, active])
        done = torch.maximum((gradient / now.scale).abs().amax(0), bias_gradient.abs()) < GRADIENT_TOLERANCE
        converged[active[done]] = True
        if done.all():
            break
        active, now, margins = active[~done], problem.of(active[~done]), margins[:, ~done]
        step, bias_step = now.newton_step(margins, gradient[:, ~done], bias_gradient[~done])
        length = now.line_search(margins, weights[:, active], step, bias_step, gradient[:, ~done], bias_gradient[~done])
        weights[:, active] += length * step
        bias[active] += length * bias_step
    return Heads(weights, bias, converged)


class _Problem:
    """The objective of some heads, with a preconditioner that all of them share."""

    def __init__(self, features: Tensor, labels: Tensor, members: Tensor, penalties: Tensor) -> None:
        self.features, self.labels = features, labels.to(features.dtype)
        self.single = features.to(torch.float32)
        self.share = members.to(features.dtype) / members.sum(0)  # (n, H): a member's weight in the mean
        mean = features.T @ self.share
        variance = (features.square().T @ self.share - mean.square()).clamp(min=0)
        deviation = variance.sqrt()
        self.scale = torch.where(deviation > 1e-9, deviation, 1.0)  # (d, H)
        self.penalties = penalties
        self.directions, self.spectrum = _principal_directions(features)

    def of(self, heads: Tensor) -> _Problem:
        part = object.__new__(_Problem)
        part.features, part.labels, part.single = self.features, self.labels, self.single
        part.directions, part.spectrum = self.directions, self.spectrum
        part.share, part.scale, part.penalties = self.share[:, heads], self.scale[:, heads], self.penalties[heads]
        return part

    def objective(self, margins: Tensor, weights: Tensor) -> Tensor:
        losses = softplus(margins) - self.labels[:, None] * margins
        return (self.share * losses).sum(0) + self.penalties / 2 * (self.scale * weights).square().sum(0)

    def gradient(self, margins: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        residual = self.share * (margins.sigmoid() - self.labels[:, None])
        return self.features.T @ residual + self.penalties * self.scale.square() * weights, residual.sum(0)

    def newton_step(self, margins: Tensor, gradient: Tensor, bias_gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Solve Hessian @ step = -gradient for all heads by preconditioned conjugate gradients.

        In single precision, which costs no accuracy: gradients and objectives, in double, judge every step.
        """
        probability = margins.sigmoid()
        double = self.share * probability * (1 - probability)
        total = double.sum(0).clamp(min=1e-12).float()
        curvature, penalties = double.float(), self.penalties.float()
        ridge = penalties * self.scale.square().float()
        inverse = 1 / (penalties + total * self.spectrum[:, None])  # (rank, H)
        magnitude = torch.maximum(gradient.abs().amax(0), bias_gradient.abs())  # keeps tiny gradients in range

        def precondition(vector: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
            along = self.directions.T @ vector
            outside = (vector - self.directions @ along) / penalties
            return outside + self.directions @ (inverse * along), bias / total

        def hessian(vector: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
            weighted = curvature * (self.single @ vector + bias)
            return self.single.T @ weighted + ridge * vector, weighted.sum(0)

        residual, bias_residual = (-gradient / magnitude).float(), (-bias_gradient / magnitude).float()
        step, bias_step = torch.zeros_like(residual), torch.zeros_like(bias_residual)
        ahead, bias_ahead = precondition(residual, bias_residual)
        direction, bias_direction = ahead, bias_ahead
        product = (residual * ahead).sum(0) + bias_residual * bias_ahead
        start = product.clone()
        goal = (
            start * torch.clamp(10 * magnitude, min=1e-4, max=0.1).square().float()
        )  # looser while far from the optimum
        for _ in range(MAX_CG_STEPS):
            if bool((product <= goal).all()):
                break
            image, bias_image = hessian(direction, bias_direction)
            bend = (direction * image).sum(0) + bias_direction * bias_image
            length = torch.where(product > goal, product / bend.clamp(min=1e-30), 0.0)
            step, bias_step = step + length * direction, bias_step + length * bias_direction
            residual, bias_residual = residual - length * image, bias_residual - length * bias_image
            ahead, bias_ahead = precondition(residual, bias_residual)
            updated = (residual * ahead).sum(0) + bias_residual * bias_ahead
            turn = torch.where(product > goal, updated / product.clamp(min=1e-30), 0.0)
            direction, bias_direction = ahead + turn * direction, bias_ahead + turn * bias_direction
            product = torch.where(product > goal, updated, product)
        return step.double() * magnitude, bias_step.double() * magnitude

    def line_search(
        self, margins: Tensor, weights: Tensor, step: Tensor, bias_step: Tensor, gradient: Tensor, bias_gradient: Tensor
    ) -> Tensor:
        """Halve each head's step until its objective falls enough; a step too short to matter becomes 0."""
        slope = (gradient * step).sum(0) + bias_gradient * bias_step
        before = self.objective(margins, weights)
        moved = self.features @ step + bias_step
        length = torch.ones_like(slope)
        for _ in range(40):
            after = self.objective(margins + length * moved, weights + length * step)
            short = after > before + 1e-4 * length * slope + 1e-14 * before.abs()
            if not bool(short.any()):
                return length
            length = torch.where(short, length / 2, length)
        return torch.where(short, 0.0, length)


def _principal_directions(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return orthonormal directions (d, r) and variances (r,) of the features.

    Single precision is enough: they only precondition.
    """
    single = features.to(torch.float32)
    n, d = single.shape
    if n >= d:
        variances, directions = torch.linalg.eigh(single.T @ single / n)
        return directions, variances.clamp(min=0)
    variances, axes = torch.linalg.eigh(single @ single.T / n)
    kept = variances > 1e-6 * variances[-1].clamp(min=1e-30)
    directions, _ = torch.linalg.qr(single.T @ axes[:, kept] / (n * variances[kept]).sqrt())
    return directions, variances[kept]
