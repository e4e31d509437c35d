"""An encoder with a linear head, some parts of which are trained while all others stay as they were loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.models.encoder import Encoder


class TunedNetwork(torch.nn.Module):
    """Gives one margin a patch, and knows what of it is trained.

    What is not trained stays in evaluation mode: neither its dropout nor its running statistics move.

    Attributes:
        encoder: (n, 3, size, size) to (n, embed_dim).
        head: (n, embed_dim) to (n, 1).
    """

    def __init__(self, encoder: Encoder, tuned: Sequence[torch.nn.Module]) -> None:
        """Put a head on an encoder; of the modules `tuned`, and of the head, all is trained that is not frozen yet."""
        super().__init__()
        self.encoder = encoder
        self.head = torch.nn.Linear(encoder.spec.embed_dim, 1)
        torch.nn.init.trunc_normal_(self.head.weight, std=0.01)
        torch.nn.init.zeros_(self.head.bias)
        self._tuned = [*tuned, self.head]
        inside = {id(parameter) for module in self._tuned for parameter in module.parameters()}
        for parameter in self.parameters():
            if id(parameter) not in inside:
                parameter.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the margins (n, 1) of normalised images."""
        return self.head(self.encoder(images))

    def train(self, mode: bool = True) -> TunedNetwork:
        """Put what is trained into training mode, and all else into evaluation mode."""
        super().train(False)
        for module in self._tuned:
            module.train(mode)
        return self

    def trained_parameters(self) -> list[torch.nn.Parameter]:
        """Return what an optimiser may move."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def tuned_state(self) -> dict[str, Tensor]:
        """Return all that training can change: trained parameters, and running statistics beside them."""
        modules = {id(module) for module in self._tuned}
        prefixes = tuple(f"{name}." for name, module in self.named_modules() if id(module) in modules)
        frozen = {name for name, parameter in self.named_parameters() if not parameter.requires_grad}
        state = self.state_dict()
        return {name: state[name] for name in state if name.startswith(prefixes) and name not in frozen}

    def load_tuned_state(self, state: dict[str, Tensor]) -> None:
        """Take up again what `tuned_state` returned."""
        if state.keys() != self.tuned_state().keys():
            raise ValueError("these are not the tuned tensors of this network")
        self.load_state_dict(state, strict=False)
