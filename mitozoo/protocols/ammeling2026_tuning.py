"""Training as the code released with Ammeling et al. (2026) does it, each of its known faults a named switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from mitozoo.errors import ProtocolError
from mitozoo.plugins.record import record
from mitozoo.protocols.ammeling2026 import kept_rows
from mitozoo.protocols.fine_tune import NetworkTraining, PatchRows, nothing_to_train
from mitozoo.protocols.held_out import FIXED_THRESHOLD
from mitozoo.protocols.lora import adapters_share, add_adapters
from mitozoo.protocols.prediction import Prediction, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch.nn import Module

    from mitozoo.models.encoder import Encoder
    from mitozoo.protocols.epoch import Epoch


@record
class Ammeling2026Tuning(NetworkTraining):
    """A network, or LoRA adapters in it, trained as the released code does.

    Adam without weight decay, OneCycle; each pseudo-epoch draws its patches anew: a group (the released code: a slide)
    uniformly, then a positive cell of it with probability 1/2, else a negative one. A random fifth of the drawn cells
    is validated on, the threshold is 0.5, and scores are left as the sampler's prior makes them. Of the released code's
    faults its label of training windows ('holds any mitotic figure') is not repeated: the label is the centred cell's.

    Attributes:
        adapters: whether LoRA adapters are trained in place of all weights.
        rank: of each adapter.
        alpha: an adapter's output is scaled by alpha / rank.
        dropout: on the adapters' input, while training.
        pseudo_epoch: patches an epoch.
        tested: 'last' tests the last epoch whatever validation says, as released, where the best weights were no copy;
            'best' tests the epoch of the lowest validation log loss.
        early_stopping: whether `patience` ends a training; the released scripts do not ask for it.
        clipped: whether gradients are clipped at norm 0.1; the released code clips before there are any.
        one_cycle: whether the learning rate follows OneCycle, rising over `warmup`; else it is constant.
        jitter: largest shift of a training patch, a share of its side, as far as tissue around it is stored.
        validated: share of the drawn cells that is validated on.
        inferred: what the paper that is followed does not say, taken from this code.
    """

    kind: ClassVar[str] = "ammeling2026-tuning"

    learning_rates: tuple[float, ...] = (1e-4,)
    epochs: int = 100
    patience: int = 20
    batch_size: int = 16
    weight_decay: float = 0.0
    warmup: float = 0.3
    adapters: bool = False
    rank: int = 16
    alpha: float = 16.0
    dropout: float = 0.1
    pseudo_epoch: int = 1280
    tested: Literal["last", "best"] = "last"
    early_stopping: bool = False
    clipped: bool = False
    one_cycle: bool = True
    jitter: float = 0.1
    validated: float = 0.2
    inferred: tuple[str, ...] = ()

    def validate(self) -> None:
        """Refuse values with which nothing would be trained, or nothing compared."""
        super().validate()
        if len(self.learning_rates) != 1:
            raise ProtocolError("the released code tries one learning rate, so learning_rates must hold one")
        if self.pseudo_epoch < self.batch_size:
            raise ProtocolError(f"pseudo_epoch is {self.pseudo_epoch}; it must be at least batch_size")
        if self.rank < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise ProtocolError("rank must be at least 1, alpha above 0, and dropout at least 0 and below 1")
        if not 0 <= self.jitter <= 0.5 or not 0 < self.validated < 1:
            raise ProtocolError("jitter must lie between 0 and 0.5, validated between 0 and 1")

    def choose(self, encoder: Encoder) -> Sequence[Module]:
        """Return the adapted layers, or the whole encoder."""
        if self.adapters:
            return add_adapters(
                encoder, rank=self.rank, alpha=self.alpha, dropout=self.dropout, use_dora=False, needed_by=self.name
            )
        if not any(parameter.requires_grad for parameter in encoder.parameters()):
            raise nothing_to_train(self, encoder)
        return [encoder]

    def tuned_share(self, embed_dim: int) -> float:
        """Return a bound of what is trained."""
        return adapters_share(self.rank, embed_dim) if self.adapters else 1.0


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
