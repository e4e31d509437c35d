"""What a user asks of an evaluation, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mitozoo.errors import MitozooError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

PRECISIONS = ("auto", "fp32", "fp16", "bf16")
FRACTION_DIGITS = 6  # significant ones, so that a fraction and the name of its row say the same


@dataclass(frozen=True)
class Request:
    """The arguments of `mitozoo eval`, with their defaults; paths and settings may be given as text or as values.

    Attributes:
        model: name of a registered model, or its place (see `find_model`); None where `embeddings` are brought.
        dataset: name of a registered dataset.
        data: the dataset's folder; None: the one that it makes itself.
        protocol: name of a protocol.
        settings: parameter -> value as text; changes the protocol's hash and name.
        fractions: label budgets, shares of the training cells.
        seeds: how many seeds, from 0.
        folds: only the first so many outer folds.
        limit: only so many cells, in whole groups; marked, never to be submitted.
        device: 'auto', 'cuda', 'mps' or 'cpu'.
        precision: 'auto', 'fp32', 'fp16' or 'bf16'.
        batch_size: cells at once; None: by device.
        negatives: 'hard', 'other' or 'all'.
        mpp: microns per pixel of every slide, in place of the dataset's.
        skip_unreadable: leave out, and record, cells whose slide cannot be read.
        embeddings: a file of embeddings, in place of a model.
        weights: the user's own copy of the model's weight file; None: where its source finds it.
        out: folder of the runs.
    """

    model: str | None
    dataset: str
    data: Path | None = None
    protocol: str = "linear-probe"
    settings: Mapping[str, str] = field(default_factory=dict)
    fractions: tuple[float, ...] = (1.0,)
    seeds: int = 1
    folds: int | None = None
    limit: int | None = None
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    negatives: str = "hard"
    mpp: float | None = None
    skip_unreadable: bool = False
    embeddings: Path | None = None
    weights: Path | None = None
    out: Path = Path("runs")

    def __post_init__(self) -> None:
        for name in ("data", "embeddings", "weights", "out"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(path))
        object.__setattr__(self, "settings", {key: _as_text(value) for key, value in self.settings.items()})
        fractions = tuple(float(f"{fraction:.{FRACTION_DIGITS}g}") for fraction in self.fractions)
        object.__setattr__(self, "fractions", fractions)
        if (self.model is None) == (self.embeddings is None):
            raise MitozooError(
                "an evaluation needs a model, or embeddings in place of one",
                hint="Say --model NAME (see mitozoo models) or --embeddings FILE.",
            )
        if self.weights is not None and self.model is None:
            raise MitozooError("--weights are a model's, and --embeddings stand in place of one", hint="Leave one out.")
        if not self.fractions or not all(0 < fraction <= 1 for fraction in self.fractions):
            raise ProtocolError(
                f"fractions are {', '.join(f'{f:g}' for f in self.fractions)}; each must be above 0 and at most 1"
            )
        for name in ("seeds", "folds", "limit", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ProtocolError(f"{name.replace('_', '-')} is {value}; it must be at least 1")
        if self.precision not in PRECISIONS:
            raise ProtocolError(f"precision is '{self.precision}'; it must be one of {', '.join(PRECISIONS)}")
        if self.mpp is not None and not 0.01 <= self.mpp <= 20:
            raise ProtocolError(f"mpp is {self.mpp:g}; microns per pixel lie between 0.01 and 20")

    def require_known_names(self) -> None:
        """Raise `UnknownNameError` for a model or dataset that no plugin offers; imports nothing heavy."""
        from mitozoo.engine.find_dataset import find_dataset
        from mitozoo.models.on_the_spot import is_on_the_spot
        from mitozoo.plugins.registry import load_registry

        if self.model is not None and not is_on_the_spot(self.model):
            load_registry().model(self.model)
        find_dataset(self.dataset)


def _as_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
