"""One training as the code released with Ammeling et al. (2026) does it: what is fitted, scored and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mitozoo.protocols.ammeling2026 import kept_rows
from mitozoo.protocols.held_out import FIXED_THRESHOLD
from mitozoo.protocols.prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mitozoo.data.splits import Rows
    from mitozoo.models.encoder import Encoder
    from mitozoo.protocols.ammeling2026_tuning import Ammeling2026Tuning
    from mitozoo.protocols.epoch import Epoch
    from mitozoo.protocols.network_training import PatchRows


def fit_ammeling2026_tuning(
    protocol: Ammeling2026Tuning,
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
    """Train on the drawn training rows and score the test rows; arguments as in `fit_network`."""
    from mitozoo.protocols.released_training import ReleasedTraining

    fitted = kept_rows(train, labels, protocol.validated, protocol.split_seed)
    validation = np.setdiff1d(train, fitted)
    training = ReleasedTraining(
        protocol, load, patches, labels, fitted, validation, seed, device, precision, groups=groups
    )
    if weights is not None:
        return training.scores_by(weights, test)
    progress = training.run(checkpoint, on_progress, on_epoch)
    best = progress.best
    assert best is not None
    flags = [] if len(validation) else ["too few cells to validate on"]
    flags += ["training diverged"] if progress.diverged else []
    prediction = Prediction(
        test_scores=training.scores(test),
        inner_parts=(),
        validation_scores=np.empty(0),
        threshold=FIXED_THRESHOLD,
        selected={
            "learning_rate": best.learning_rate,
            "epoch": best.epoch,
            "validation_log_loss": best.loss if len(validation) else None,
            "lowest_validation_log_loss_in_epoch": training.lowest_epoch if len(validation) else None,
            "trials": 1,
            "cells_fitted": len(fitted),
            "weights_sha256": best.sha256(),
            "trained_parameters": sum(parameter.numel() for parameter in training.network.trained_parameters()),
        },
        converged=True,
        flags=tuple(flags),
        tensors={name: tensor.numpy() for name, tensor in best.weights.items()},
    )
    checkpoint.unlink(missing_ok=True)
    return prediction
