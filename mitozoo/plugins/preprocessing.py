"""`Preprocessing`: how a model's authors turn a tile into the network's input."""

from __future__ import annotations

from typing import ClassVar, Literal

from mitozoo.errors import SpecError
from mitozoo.plugins.fields import require_word
from mitozoo.plugins.record import Record, record

Interpolation = Literal["bilinear", "bicubic"]
Resize = Literal["short-side", "square", "none"]
MppBasis = Literal["stated", "magnification", "convention", "none"]


@record
class Preprocessing(Record):
    """How the authors turn a tile into the network's input. No field has a default: each can change a number.

    Attributes:
        size: side of the network's square input, px.
        resize: 'short-side' (keep the aspect, then crop the centre), 'square', or 'none' (the authors only crop).
        resize_to: side that the authors resize to before the centre crop, px.
        interpolation: 'bilinear' or 'bicubic'.
        antialias: whether shrinking is low-pass filtered (always so for PIL images).
        mean: per channel, for values in 0..1.
        std: per channel, for values in 0..1.
        mpp: microns per pixel of the training tiles; None where there is none (natural images).
        mpp_basis: 'stated' by the authors, from a 'magnification', by 'convention', or 'none'.
    """

    fingerprinted: ClassVar = ("size", "resize", "resize_to", "interpolation", "antialias", "mean", "std", "mpp")

    size: int
    resize: Resize
    resize_to: int
    interpolation: Interpolation
    antialias: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    mpp: float | None
    mpp_basis: MppBasis

    def validate(self) -> None:
        """Refuse sizes, statistics or words that cannot be meant."""
        require_word("resize", self.resize, Resize)
        require_word("interpolation", self.interpolation, Interpolation)
        require_word("mpp_basis", self.mpp_basis, MppBasis)
        if not (0 < self.size <= self.resize_to <= 4096):
            raise SpecError(f"Preprocessing needs 0 < size <= resize_to <= 4096, not {self.size} and {self.resize_to}")
        if len(self.mean) != 3 or not all(0 <= value <= 1 for value in self.mean):
            raise SpecError(f"Preprocessing.mean {self.mean} must be three values in 0..1")
        if len(self.std) != 3 or not all(0 < value <= 1 for value in self.std):
            raise SpecError(f"Preprocessing.std {self.std} must be three values in 0..1, none of them 0")
        if (self.mpp is None) != (self.mpp_basis == "none") or (self.mpp is not None and not 0.05 <= self.mpp <= 20):
            raise SpecError(f"Preprocessing.mpp {self.mpp} does not go with mpp_basis '{self.mpp_basis}'")
