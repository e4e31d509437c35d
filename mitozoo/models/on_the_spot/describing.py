"""What the places of models have in common: short names, weight files, and what an untrained network shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from mitozoo.errors import ModelError
from mitozoo.models.loaders import build_network

if TYPE_CHECKING:
    from mitozoo.models.hub import Repository
    from mitozoo.plugins.model_spec import Pooling
    from mitozoo.plugins.sources import Source

WRITE_A_PLUGIN = "Describe it by a plugin: mitozoo new model NAME"
_WEIGHTS = (
    "model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin",
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """What a network shows of itself, without weights.

    Attributes:
        output: of one image: (1, channels), (1, tokens, channels) or (1, channels, height, width).
        prefix_tokens: class and register tokens.
        parameters: how many.
        network: itself, on the meta device.
    """

    output: tuple[int, ...]
    prefix_tokens: int
    parameters: int
    network: torch.nn.Module


def short_name(*parts: str) -> str:
    """Return a name as specs bear it, from any text."""
    return re.sub(r"[^a-z0-9._-]+", "-", "-".join(parts).lower()).strip("-._")


def weight_file(held: Repository) -> str:
    """Return the one weight file of a repository."""
    for name in _WEIGHTS:
        if name in held.files:
            return name
    parts = [name for name in held.files if name.endswith((".safetensors", ".bin", ".pth", ".pt", ".ckpt"))]
    found = f"it has {', '.join(parts[:3])}" if parts else "it has no weights"
    raise ModelError(f"{held.name} has none of {', '.join(_WEIGHTS[:2])}: {found}", hint=WRITE_A_PLUGIN)


def show(source: Source, size: int) -> Shown:
    """Build a source's network without memory, and send one image of nothing through it.

    Raises:
        ModelError: it cannot be built or run so.
    """
    try:
        with torch.device("meta"), torch.no_grad():
            network = build_network(source).eval()
            output = network(torch.empty(1, 3, size, size))
    except ModelError:
        raise
    except Exception as error:  # a network may raise anything on an input that it was not made for
        raise ModelError(f"the network does not take one image of {size} px: {error}", hint=WRITE_A_PLUGIN) from error
    if not isinstance(output, torch.Tensor) or output.ndim not in (2, 3, 4):
        raise ModelError("the network gives neither vectors nor tokens nor feature maps", hint=WRITE_A_PLUGIN)
    prefix: Any = getattr(network, "num_prefix_tokens", 0)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Shown(tuple(output.shape), int(prefix), parameters, network)


def pooling_of(shown: Shown) -> tuple[Pooling, int]:
    """Return the pooling that suits an output, and the embedding's length: the class token where there is one."""
    if len(shown.output) == 2:
        return "network", shown.output[1]
    if len(shown.output) == 4:
        return "gap", shown.output[1]
    return ("cls" if shown.prefix_tokens else "mean"), shown.output[2]


def square_side(stated: Any, what: str) -> int:
    """Return the side of a square that a configuration states as a number, a pair or (3, height, width)."""
    sides = [stated] if isinstance(stated, int) else list(stated or ())
    if not sides or len(sides) > 3 or sides[-1] != sides[-min(2, len(sides))] or (len(sides) == 3 and sides[0] != 3):
        raise ModelError(f"{what} is {stated}; mitozoo takes square images of three channels", hint=WRITE_A_PLUGIN)
    return int(sides[-1])


def known_interpolation(stated: Any, what: str) -> Any:
    """Return 'bilinear' or 'bicubic', or say that another one needs a plugin."""
    if stated not in ("bilinear", "bicubic"):
        raise ModelError(f"{what} is '{stated}'; mitozoo knows bilinear and bicubic", hint=WRITE_A_PLUGIN)
    return stated
