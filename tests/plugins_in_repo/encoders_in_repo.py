"""The encoders of this repository's plugins, and their networks without weights, for the tests beside this file."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from mitozoo.models.encoder import Encoder
from mitozoo.models.loaders import build_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.sources import Source

PLUGINS = Path(__file__).parents[2] / "plugins"


def specs_of(*families: str) -> dict[str, ModelSpec]:
    """Return what these families' modules offer; all of the repository's where none is named."""
    modules = [f"mitozoo_plugin_{family}" for family in families] or sorted(
        file.stem for file in PLUGINS.glob("*/mitozoo_plugin_*.py")
    )
    offered = (getattr(importlib.import_module(module), "mitozoo_models", tuple) for module in modules)
    return {spec.name: spec for models in offered for spec in models()}


#: What layers draw their first weights by.
DRAWING = {name for name in dir(torch.nn.init) if name.endswith("_") and not name.startswith("_")} | {
    "add_", "clamp_", "erfinv_", "fill_", "mul_", "zero_",
}  # fmt: skip


class Undrawn(TorchFunctionMode):
    """Draw no weights on the meta device, which holds none: to go through the motions takes most of a build's time."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(function, "__name__", "") in DRAWING:
            drawn = args[0] if args else kwargs["tensor"]
            if drawn.is_meta:
                return drawn
        return function(*args, **kwargs)


def lay_out(source: Source) -> torch.nn.Module:
    """Build on the meta device."""
    with torch.device("meta"), Undrawn():
        return build_network(source).eval()


#: Two poolings of one network share it.
laid_out = functools.cache(lay_out)


def check_declared(spec: ModelSpec, network: torch.nn.Module) -> None:
    """Compare a network on the meta device with what is declared: parameters, and the embeddings' dimension."""
    side = spec.preprocessing.size
    assert sum(parameter.numel() for parameter in network.parameters()) == spec.parameters
    with torch.no_grad(), torch.device("meta"):
        assert Encoder(spec, network, "")(torch.zeros(2, 3, side, side)).shape == (2, spec.embed_dim)


def linear_layers(source: Source) -> list[str]:
    """Return the names of a network's linear layers."""
    return [name for name, module in laid_out(source).named_modules() if isinstance(module, torch.nn.Linear)]
