"""Last blocks: the network trained from one of its last blocks on, all before it left as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mitozoo.errors import ModelError, ProtocolError
from mitozoo.plugins.record import record
from mitozoo.protocols.network_training import NetworkTraining, nothing_to_train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.nn import Module

    from mitozoo.models.encoder import Encoder


@record
class LastBlocks(NetworkTraining):
    """The last blocks, whatever stands behind them, such as the last norm, and a linear head, trained.

    A block is a transformer's layer, or a residual block of a CNN, counted through all of its stages. All before the
    trained blocks stays in evaluation mode, so that running statistics do not move there. Budget, selection and test
    are those of end-to-end training.

    Attributes:
        blocks: how many of the last blocks are trained.
    """

    kind: ClassVar[str] = "last-blocks"

    blocks: int = 2

    def validate(self) -> None:
        """Refuse to train no block."""
        super().validate()
        if not 1 <= self.blocks <= 1000:
            raise ProtocolError(f"blocks is {self.blocks}; it must lie between 1 and 1000")

    def choose(self, encoder: Encoder) -> Sequence[Module]:
        """Return the last blocks and what stands behind them."""
        from mitozoo.protocols.blocks import after_blocks, blocks_of

        found = blocks_of(encoder.network)
        if not any(parameter.requires_grad for parameter in encoder.parameters()):
            raise nothing_to_train(self, encoder)
        if len(found) < self.blocks:
            has = f"only {len(found)} blocks" if found else f"no blocks that '{self.kind}' could tell"
            raise ModelError(
                f"model '{encoder.spec.name}' has {has}",
                hint=f"Use --set blocks={len(found)}." if found else "Use --protocol end-to-end.",
            )
        return [*found[-self.blocks :], *after_blocks(encoder.network)]
