"""What a whole run was asked beside its protocol: the axes that change no protocol's hash."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mitozoo.data.folds import SplitRecipe

if TYPE_CHECKING:
    from mitozoo.data.splits import Labels

NOISE_STREAM = 7_291  # keeps the flipped labels apart from every other random choice of a seed


@dataclass(frozen=True)
class Conditions:
    """The conditions of a run. Runs under different ones are never in one ranking.

    Attributes:
        split: the recipe of the outer folds in place of the protocol's; None: the protocol's.
        domain: the domain that the split goes by; '' where it goes by none.
        trained_on: of joined datasets, the one that is trained on; '' where there is one dataset.
        crop_um: side of the window in place of the protocol's, um; None: the protocol's.
        label_noise: share of the training labels that were flipped.
        stain: stain normalisation of every patch: 'none', 'macenko' or 'reinhard'.
    """

    split: str | None = None
    domain: str = ""
    trained_on: str = ""
    crop_um: float | None = None
    label_noise: float = 0.0
    stain: str = "none"

    def to_json(self) -> dict[str, Any]:
        """Return the conditions as plain JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, document: dict[str, Any]) -> Conditions:
        """Return the conditions that a result document records."""
        return cls(**document["conditions"])

    def recipe(self, parameters: dict[str, Any]) -> SplitRecipe:
        """Return how outer folds are made, by these conditions and the protocol's parameters."""
        return SplitRecipe(
            self.split or parameters["split"], parameters["outer_folds"], parameters["split_seed"], self.domain,
            self.trained_on,
        )  # fmt: skip

    def trained_labels(self, labels: Labels, seed: int) -> Labels:
        """Return the labels as training and validation see them: some flipped, the same ones for every model."""
        if not self.label_noise:
            return labels
        chance = np.random.RandomState([NOISE_STREAM, seed]).random_sample(len(labels))
        flipped: npt.NDArray[np.int8] = np.where(chance < self.label_noise, 1 - labels, labels).astype(np.int8)
        return flipped

    def summary(self) -> str:
        """Return what differs from a plain run, in words; '' where nothing does."""
        said = {
            f"split {self.split}" + (f" by {self.domain}" if self.domain else ""): self.split is not None,
            f"trained on {self.trained_on}": bool(self.trained_on),
            f"crops of {self.crop_um} um": self.crop_um is not None,
            f"{100 * self.label_noise:g} % of training labels flipped": self.label_noise > 0,
            f"{self.stain} stain normalisation": self.stain != "none",
        }
        return ", ".join(words for words, holds in said.items() if holds)
