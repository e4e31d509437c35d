"""The cells of a fit as a solver wants them: standardised, with a column of ones, their curvature at hand."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONSTANT = 1e-9  # a feature whose deviation is this small a part of its size is constant but for rounding
HELD_VALUES = 2**28  # more features than these, 2 GB in double precision, are made anew wherever they are used
BLOCK_VALUES = 2**24  # so many at a time
PIECE_VALUES = 2**19  # 2 MB in single precision: still in the processor's cache where they are used twice


class Design:
    """The cells of a fit: embeddings standardised over all of them, and a column of ones for the bias.

    Attributes:
        labels: (n,) float64, 0 or 1.
        mean, deviation: (d,) float64, what the embeddings were standardised by.
        slices: the cells that are worked on at a time: all of them, unless they are very many.
        pieces: the cells that are looked at several times in a row; all of them on a GPU.
        single: (n, d + 1) float32, all features.
    """

    def __init__(self, embeddings: Tensor, labels: Tensor, rows: Tensor | None = None) -> None:
        """Take embeddings (N, d) of any float type, labels (n,) of 0 or 1, and which n rows are meant; None: all."""
        self._embeddings: Tensor | None = embeddings
        self._rows, self.labels = rows, labels.to(torch.float64)
        n, d = len(labels), embeddings.shape[1]
        step = n if n * (d + 1) <= HELD_VALUES else max(1, BLOCK_VALUES // (d + 1))
        self.slices = _slices(n, step)
        self.pieces = _slices(n, n if embeddings.is_cuda else max(1, PIECE_VALUES // (d + 1)))
        self.mean = torch.zeros(d, dtype=torch.float64, device=embeddings.device)
        self.deviation = torch.ones_like(self.mean)
        self._held: Tensor | None = None
        if len(self.slices) == 1:
            self._held, self._embeddings = next(self.blocks())[1], None
        mean = self._mean_of(lambda values: values)
        size = self._mean_of(torch.square).sqrt()
        self._standardise(mean, self.deviation)
        deviation = self._mean_of(torch.square).sqrt()
        self._standardise(mean, torch.where(deviation > CONSTANT * size, deviation, 1.0))
        self.single = torch.empty(n, d + 1, dtype=torch.float32, device=embeddings.device)
        for where, features in self.blocks():
            self.single[where] = features
        # with fewer cells than features, curvature lies in the span of the cells: orthonormal `axes`, (r, d + 1)
        self.axes: Tensor | None = None
        self.along = self.single
        if n <= d:
            axes, along = torch.linalg.qr(self.single.T)
            self.axes, self.along = axes.T.contiguous(), along.T.contiguous()

    def blocks(self, slices: list[slice] | None = None) -> Iterator[tuple[slice, Tensor]]:
        """Yield each of some slices, or of `slices`, with its features (m, d + 1) in double precision."""
        for where in slices or self.slices:
            if self._held is not None:
                yield where, self._held[where]
                continue
            assert self._embeddings is not None
            raw = self._embeddings[where if self._rows is None else self._rows[where]]
            features = torch.ones(len(raw), raw.shape[1] + 1, dtype=torch.float64, device=raw.device)
            features[:, :-1] = raw
            features[:, :-1] -= self.mean
            features[:, :-1] /= self.deviation
            yield where, features

    def margins(self, weights: Tensor) -> Tensor:
        """Return (H, n) the products of weights (H, d + 1) with all cells."""
        reached = weights.new_empty(len(weights), len(self.labels))
        for where, features in self.blocks():
            reached[:, where] = weights @ features.T
        return reached

    def summed(self, factors: Callable[[slice], Tensor]) -> Tensor:
        """Return (H, d + 1) the sums of all features, times the factors (H, m) that are told of a slice."""
        return _total(factors(where) @ features for where, features in self.blocks())

    def curvature(self, weights: Tensor) -> Tensor:
        """Return the sum of weights (n,) times outer products of the cells, (r, r) in the span's coordinates."""
        return _total((self.along[at] * weights[at, None]).T @ self.along[at] for at in self.slices)

    @cached_property
    def uniform_curvature(self) -> Tensor:
        """The curvature of equal weights that sum to 1."""
        return self.curvature(self.single[:, -1] / len(self.single))

    def deviations_within(self, share: Callable[[slice], Tensor]) -> Tensor:
        """Return the standard deviations (H, d + 1) of features under weights (H, m) of a slice; 1 for constants."""
        parts = ((share(where), features) for where, features in self.blocks(self.pieces))
        mean, square = _total(torch.stack([part @ values, part @ values.square()]) for part, values in parts)
        variance = (square - mean.square()).clamp(min=0)
        doubtful = (variance < 1e-4 * square).any(0)  # the difference has lost digits
        if bool(doubtful.any()):
            variance[:, doubtful] = _total(
                torch.stack(
                    [
                        part @ (features[:, doubtful] - centre).square()
                        for part, centre in zip(share(where), mean[:, doubtful], strict=True)
                    ]
                )
                for where, features in self.blocks()
            )
        deviation = variance.sqrt()
        return torch.where(deviation > CONSTANT * square.sqrt(), deviation, 1.0)

    def _standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Have the features, as far as they were not yet, centred and scaled; one of the two has changed."""
        if self._held is not None:
            self._held[:, :-1] -= mean - self.mean
            self._held[:, :-1] /= deviation / self.deviation
        self.mean, self.deviation = mean, deviation

    def _mean_of(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean over all cells of a function of their features but the last."""
        n = len(self.labels)
        blocks = self.blocks(self.pieces)
        return _total(function(features[:, :-1]).mean(0) * (len(features) / n) for _, features in blocks)


def _slices(n: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def _total(parts: Iterator[Tensor]) -> Tensor:
    """Return the sum of some tensors, in place of the first."""
    total = next(parts)
    for part in parts:
        total += part
    return total
