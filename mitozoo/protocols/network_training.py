"""What all protocols that train a network state, and what they are shown."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mitozoo.errors import ModelError, ProtocolError
from mitozoo.plugins.record import record
from mitozoo.protocols.spec import Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.nn import Module

    from mitozoo.data.splits import Rows
    from mitozoo.models.encoder import Encoder

Patches = npt.NDArray[np.uint8]  # (n, size, size, 3)


class PatchRows(typing.Protocol):
    """Patches of which any rows can be had: an array, mapped from disk or not, or several as if they were one."""

    def __getitem__(self, rows: Rows, /) -> Patches:
        """Return the patches of these rows (len(rows), size, size, 3)."""


@record
class NetworkTraining(Protocol):
    """A recipe that trains an encoder, or a part of it, with a linear head.

    Each trial starts from the pretrained weights and a new head. What is not trained stays in evaluation mode.

    Attributes:
        learning_rates: each is tried; the number of trials is recorded.
        epochs: each draws as many cells as there are training cells.
        patience: epochs without a lower validation loss before a trial ends.
        batch_size: cells a step.
        weight_decay: of AdamW, on weight matrices only.
        warmup: share of all steps over which the learning rate rises from 0.
    """

    learning_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3)
    epochs: int = 30
    patience: int = 8
    batch_size: int = 32
    weight_decay: float = 0.01
    warmup: float = 0.1

    def validate(self) -> None:
        """Refuse values with which nothing would be trained."""
        super().validate()
        if not self.learning_rates or not all(0 < rate < 1 for rate in self.learning_rates):
            raise ProtocolError(f"learning_rates must lie between 0 and 1, not {self.learning_rates}")
        if min(self.epochs, self.patience) < 1 or self.batch_size < 2:
            raise ProtocolError("epochs and patience must be at least 1, batch_size at least 2")
        if not 0 <= self.warmup < 1 or not 0 <= self.weight_decay < 1:
            raise ProtocolError("warmup and weight_decay must lie between 0 and 1")

    def choose(self, encoder: Encoder) -> Sequence[Module]:
        """Return the modules of an encoder that are trained beside the head, once those that must be added are there.

        Raises:
            ModelError: it has none that this protocol could train.
        """
        raise NotImplementedError

    def tuned_share(self, embed_dim: int) -> float:  # noqa: ARG002 - of use to a protocol that trains little
        """Return how large a part of the weights is trained at most, so that room on the disk can be asked for."""
        return 1.0


def nothing_to_train(protocol: NetworkTraining, encoder: Encoder) -> ModelError:
    """Return the refusal of a model whose network has no weights that training could move."""
    return ModelError(
        f"model '{encoder.spec.name}' has no weights that protocol '{protocol.name}' could train",
        hint="Use --protocol linear-probe.",
    )
