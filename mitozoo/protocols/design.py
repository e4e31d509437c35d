"""The cells of a fit as a solver wants them: standardised, with a column of ones, their curvature at hand."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

CONSTANT = 1e-9  # a feature whose deviation is this small a part of its size is constant but for rounding


class Design:
    """The cells of a fit: embeddings standardised over all of them, and a column of ones for the bias."""

    def __init__(self, embeddings: Tensor, labels: Tensor) -> None:
        """Take embeddings (n, d) of any float type and labels (n,) of 0 or 1."""
        n, d = embeddings.shape
        self.labels = labels.to(torch.float64)
        self.features = torch.ones(n, d + 1, dtype=torch.float64, device=embeddings.device)
        raw = self.features[:, :d]
        raw.copy_(embeddings)
        self.mean = raw.mean(0)
        size = raw.square().mean(0).sqrt()
        raw -= self.mean
        deviation = raw.square().mean(0).sqrt()
        self.deviation = torch.where(deviation > CONSTANT * size, deviation, 1.0)
        raw /= self.deviation
        self.single = self.features.float()
        # with fewer cells than features, curvature lies in the span of the cells: orthonormal `axes`, (r, d + 1)
        self.axes: Tensor | None = None
        self.along = self.single
        if n <= d:
            axes, along = torch.linalg.qr(self.single.T)
            self.axes, self.along = axes.T.contiguous(), along.T.contiguous()

    def curvature(self, weights: Tensor) -> Tensor:
        """Return the sum of weights (n,) times outer products of the cells, (r, r) in the span's coordinates."""
        return (self.along * weights[:, None]).T @ self.along

    @cached_property
    def uniform_curvature(self) -> Tensor:
        """The curvature of equal weights that sum to 1."""
        return self.curvature(self.single[:, -1] / len(self.single))


def deviations_within(features: Tensor, share: Tensor) -> Tensor:
    """Return the standard deviations (H, d) of features (n, d) under weights (H, n); 1 where a feature is constant."""
    mean, square = share @ features, share @ features.square()
    variance = (square - mean.square()).clamp(min=0)
    doubtful = (variance < 1e-4 * square).any(0)  # the difference has lost digits
    if bool(doubtful.any()):
        columns, centres = features[:, doubtful], mean[:, doubtful]
        exact = [part @ (columns - centre).square() for part, centre in zip(share, centres, strict=True)]
        variance[:, doubtful] = torch.stack(exact)
    deviation = variance.sqrt()
    return torch.where(deviation > CONSTANT * square.sqrt(), deviation, 1.0)
