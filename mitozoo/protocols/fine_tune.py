"""Training a network, or a part of it, with a linear head, on the same labelled cells as the probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from mitozoo.data.splits import Rows, held_out_parts
from mitozoo.plugins.record import record
from mitozoo.protocols.held_out import FIXED_THRESHOLD
from mitozoo.protocols.network_training import NetworkTraining, nothing_to_train
from mitozoo.protocols.prediction import Prediction
from mitozoo.statistics.metrics import best_threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch.nn import Module

    from mitozoo.models.encoder import Encoder
    from mitozoo.protocols.epoch import Epoch
    from mitozoo.protocols.network_training import PatchRows


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
    labels: npt.NDArray[np.int8],
    groups: npt.NDArray[np.str_],
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
        train: drawn rows; the first inner fold becomes validation.
        test: rows to score.
        seed: of the head's start, the order of cells and the augmentation.
        device: where to train.
        precision: 'fp32', or 'bf16' or 'fp16' for mixed precision.
        checkpoint: a file that keeps the trial under way, so that a killed run loses one epoch; removed at the end.
        on_progress: called with (done, total) after each epoch.
        on_epoch: told how each epoch went.
        weights: what an earlier training of the same rows kept; scores are then all that is made.
    """
    from mitozoo.protocols.training import Training

    parts = held_out_parts(
        labels, groups, train, kind=protocol.kind, folds=protocol.inner_folds, seed=protocol.split_seed
    )
    validation = parts[0] if parts else np.empty(0, dtype=np.int64)
    training = Training(
        protocol, load, patches, labels, np.setdiff1d(train, validation), validation, seed, device, precision
    )
    if weights is not None:
        return training.scores_by(weights, test)
    progress = training.run(checkpoint, on_progress, on_epoch)
    best = progress.best
    assert best is not None
    validation_scores, test_scores = training.scores(validation), training.scores(test)
    flags = [] if parts else ["too few groups for a validation part: last epoch of the first learning rate"]
    flags += [f"training diverged at learning rate {rate:g}" for rate in progress.diverged]
    threshold = FIXED_THRESHOLD
    if len(np.unique(labels[validation])) == 2:
        threshold = best_threshold(validation_scores, labels[validation])
    else:
        flags.append(f"validation does not hold both classes: threshold {threshold:g}")
    prediction = Prediction(
        test_scores=test_scores,
        inner_parts=tuple(parts),
        validation_scores=validation_scores,
        threshold=threshold,
        selected={
            "learning_rate": best.learning_rate,
            "epoch": best.epoch,
            "validation_log_loss": best.loss if parts else None,
            "trials": len(training.learning_rates),
            "weights_sha256": best.sha256(),
            "trained_parameters": sum(parameter.numel() for parameter in training.network.trained_parameters()),
        },
        converged=True,
        flags=tuple(flags),
        tensors={name: tensor.numpy() for name, tensor in best.weights.items()},
    )
    checkpoint.unlink(missing_ok=True)  # not before all is there that it could be needed for
    return prediction
