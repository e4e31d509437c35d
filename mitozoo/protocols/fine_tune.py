"""Training a network, or a part of it, with a linear head, on the same labelled cells as the probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from mitozoo.plugins.record import record
from mitozoo.protocols.ammeling2026_tuning import Ammeling2026Tuning
from mitozoo.protocols.network_training import NetworkTraining, nothing_to_train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch.nn import Module

    from mitozoo.data.splits import Groups, Labels, Rows
    from mitozoo.models.encoder import Encoder
    from mitozoo.protocols.epoch import Epoch
    from mitozoo.protocols.network_training import PatchRows
    from mitozoo.protocols.prediction import Prediction


@record
class EndToEnd(NetworkTraining):
    """The encoder and a linear head, trained whole.

    AdamW with linear warm-up and cosine decay; batches are class-balanced, so scores are shifted back by the
    sampler's prior; epoch and learning rate are those of the lowest validation log loss, where validation is the
    probe's first inner fold; the best weights are copied, restored and hashed before the test.
    """

    kind: ClassVar[str] = "end-to-end"

    def choose(self, encoder: Encoder) -> Sequence[Module]:
        """Return the whole encoder."""
        if not any(parameter.requires_grad for parameter in encoder.parameters()):
            raise nothing_to_train(self, encoder)
        return [encoder]


def fit_network(
    protocol: NetworkTraining,
    load: Callable[[], Encoder],
    patches: PatchRows,
    labels: Labels,
    groups: Groups,
    train: Rows,
    test: Rows,
    *,
    seed: int,
    device: str,
    precision: str,
    checkpoint: Path,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    weights: dict[str, npt.NDArray[Any]] | None = None,
) -> Prediction:
    """Train on the drawn training rows and score the test rows.

    Args:
        protocol: the recipe.
        load: builds the encoder with its pretrained weights.
        patches: (n, size, size, 3) uint8, resampled to the encoder's input; may be mapped from disk.
        labels: (n,) 0 or 1; those of the test rows are never looked at.
        groups: (n,) names.
        train: drawn rows; what the protocol holds out of them validates.
        test: rows to score.
        seed: of the head's start, the order of cells and the augmentation.
        device: where to train.
        precision: 'fp32', or 'bf16' or 'fp16' for mixed precision.
        checkpoint: a file that keeps the trial under way, so that a killed run loses one epoch; removed at the end.
        on_progress: called with (done, total) after each epoch.
        on_epoch: told how each epoch went.
        weights: what an earlier training of the same rows kept; scores are then all that is made.
    """
    from mitozoo.protocols.released_training import ReleasedTraining
    from mitozoo.protocols.training import Training

    way: type[Training] = ReleasedTraining if isinstance(protocol, Ammeling2026Tuning) else Training
    parts = way.held_out(protocol, labels, groups, train)
    validation = parts[0] if parts else np.empty(0, dtype=np.int64)
    fitted = np.setdiff1d(train, validation)
    training = way(protocol, load, patches, labels, groups, fitted, validation, seed, device, precision)
    if weights is not None:
        return training.scores_by(weights, test)
    prediction = training.prediction(training.run(checkpoint, on_progress, on_epoch), parts, test)
    checkpoint.unlink(missing_ok=True)  # not before all is there that it could be needed for
    return prediction
