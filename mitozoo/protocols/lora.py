"""LoRA and DoRA: small adapters beside a network's linear layers, trained while its own weights stay as they were."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from mitozoo.errors import ModelError, ProtocolError
from mitozoo.plugins.record import record
from mitozoo.protocols.network_training import NetworkTraining

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.nn import Module

    from mitozoo.models.encoder import Encoder


@record
class Lora(NetworkTraining):
    """Low-rank adapters (PEFT) on the attention and MLP layers of every block, and a linear head, trained.

    Adapters attach to the layers that the model's spec names in `lora_targets`, else to every linear layer inside its
    blocks; of either, to those that an image really passes, which leaves out the fused projections of
    torch.nn.MultiheadAttention. Budget, selection and test are those of end-to-end training.

    Attributes:
        rank: of each adapter.
        alpha: an adapter's output is scaled by alpha / rank.
        dropout: on the adapters' input, while training.
        use_dora: whether each layer's weight is divided into length and direction first (DoRA).
    """

    kind: ClassVar[str] = "lora"

    rank: int = 16
    alpha: float = 16.0
    dropout: float = 0.1
    use_dora: bool = False

    def validate(self) -> None:
        """Refuse adapters that could not learn."""
        super().validate()
        if not 1 <= self.rank <= 4096:
            raise ProtocolError(f"rank is {self.rank}; it must lie between 1 and 4096")
        if not 0 < self.alpha <= 1e6 or not 0 <= self.dropout < 1:
            raise ProtocolError("alpha must be above 0, and dropout at least 0 and below 1")

    def choose(self, encoder: Encoder) -> Sequence[Module]:
        """Put adapters into the encoder, untrained ones that change nothing yet, and return the adapted layers."""
        return add_adapters(
            encoder, rank=self.rank, alpha=self.alpha, dropout=self.dropout, use_dora=self.use_dora, needed_by=self.name
        )

    def tuned_share(self, embed_dim: int) -> float:
        """Return a bound for transformers."""
        return adapters_share(self.rank, embed_dim)


def add_adapters(
    encoder: Encoder, *, rank: int, alpha: float, dropout: float, use_dora: bool, needed_by: str
) -> Sequence[Module]:
    """Put untrained adapters into an encoder and return the layers that have them.

    Raises:
        ModelError: PEFT is not installed, or the network has no layer to adapt.
    """
    from mitozoo.models.requirements import import_optional

    peft = import_optional("peft", "peft>=0.13", f"protocol '{needed_by}'")
    targets = adapted_layers(encoder)
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, use_dora=use_dora, bias="none",
        target_modules="|".join(map(re.escape, targets)),  # as a pattern it must fit the whole name
    )  # fmt: skip
    network = peft.inject_adapter_in_model(config, encoder.network)
    return [network.get_submodule(name) for name in targets]


def adapters_share(rank: int, embed_dim: int) -> float:
    """Return a bound: in a block of width d, 12 d^2 weights get 16 rank d, and embed_dim is d or twice that."""
    return min(1.0, 4 * rank / embed_dim)


def adapted_layers(encoder: Encoder) -> list[str]:
    """Return the names, inside the encoder's network, of the layers that adapters attach to.

    Raises:
        ModelError: there are none.
    """
    from torch.nn import Conv2d, Linear

    from mitozoo.protocols.blocks import blocks_of

    network, declared = encoder.network, encoder.spec.lora_targets
    if declared:
        ends = tuple(f".{target}" for target in declared)
        named = [name for name, module in network.named_modules() if isinstance(module, Linear | Conv2d)]
        candidates = [name for name in named if f".{name}".endswith(ends)]
    else:
        inside = {id(module) for block in blocks_of(network) for module in block.modules()}
        candidates = [
            name for name, module in network.named_modules() if isinstance(module, Linear) and id(module) in inside
        ]
    passed = _passed_by_an_image(encoder, candidates)
    if not passed:
        where = f"none of its linear layers is named {', '.join(declared)}" if declared else "no block of it holds any"
        raise ModelError(
            f"LoRA on a network without linear layers to adapt: model '{encoder.spec.name}', {where}",
            hint="Use --protocol end-to-end or last-blocks.",
        )
    return passed


def _passed_by_an_image(encoder: Encoder, names: Sequence[str]) -> list[str]:
    """Return those layers that are called for an image; where only a layer's weight is used, an adapter is not."""
    import torch

    called: set[str] = set()
    hooks = [
        encoder.network.get_submodule(name).register_forward_hook(lambda *_, name=name: called.add(name))
        for name in names
    ]
    size = encoder.spec.preprocessing.size
    encoder.eval()
    try:
        with torch.no_grad():
            encoder(torch.zeros(1, 3, size, size))
    finally:
        for hook in hooks:
            hook.remove()
    return [name for name in names if name in called]
