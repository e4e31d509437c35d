"""Training as the code released with Ammeling et al. (2026) does it, each of its known faults a named switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from mitozoo.errors import ProtocolError
from mitozoo.plugins.record import record
from mitozoo.protocols.lora import adapters_share, add_adapters
from mitozoo.protocols.network_training import NetworkTraining, nothing_to_train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.nn import Module

    from mitozoo.models.encoder import Encoder


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
