"""timm's architectures with weights from a hub repository or an installed package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mitozoo.errors import ModelError
from mitozoo.models.loaders.generics import Arguments, build_network, load_network
from mitozoo.models.loaders.networks import build_timm, filtered_by_timm, timm_head
from mitozoo.models.loaders.state import COUNTER, State, load_strictly, read_state
from mitozoo.models.weights import locate, weights_sha256
from mitozoo.plugins.sources import PackagedWeights, TimmHub

if TYPE_CHECKING:
    from pathlib import Path


@build_network.register(TimmHub)
@build_network.register(PackagedWeights)
def _build(source: TimmHub | PackagedWeights, *, seed: int = 0, kwargs_override: Arguments = None) -> torch.nn.Module:
    return build_timm(source.architecture, {**source.kwargs, **(kwargs_override or {})}, seed=seed)


@load_network.register(TimmHub)
def _load_from_hub(
    source: TimmHub, *, kwargs_override: Arguments = None, file: Path | None = None
) -> tuple[torch.nn.Module, str]:
    sha256 = weights_sha256(source, file=file)
    network = build_network(source, kwargs_override=kwargs_override)
    state = read_state(locate(source, file=file))
    if source.resample_positions:
        state = filtered_by_timm(network, state)
    load_strictly(network, state, source.architecture, head=timm_head(network))
    return network, sha256


@load_network.register(PackagedWeights)
def _load_packaged(
    source: PackagedWeights, *, kwargs_override: Arguments = None, file: Path | None = None
) -> tuple[torch.nn.Module, str]:
    sha256 = weights_sha256(source, file=file)
    network = build_network(source, kwargs_override=kwargs_override)
    state = read_state(locate(source, file=file))
    if source.mapping == "order":
        state = _renamed_in_order(state, source, kwargs_override)
    load_strictly(network, state, source.architecture, head=timm_head(network))
    return network, sha256


def _renamed_in_order(state: State, source: PackagedWeights, kwargs_override: Arguments) -> State:
    """Give foreign tensors the architecture's names, pairing both lists in order.

    The architecture is laid out whole, head included, since the file lists its head too.
    """
    given = {**source.kwargs, **(kwargs_override or {})}
    given.pop("num_classes", None)
    with torch.device("meta"):
        layout = build_timm(source.architecture, given, seed=0).state_dict()
    own = [(key, value.shape) for key, value in layout.items() if not key.endswith(COUNTER)]
    foreign = [(key, value) for key, value in state.items() if not key.endswith(COUNTER)]
    for (key, shape), (foreign_key, value) in zip(own, foreign, strict=False):
        if shape != value.shape:
            raise ModelError(
                f"the weights of {source.architecture} do not fit in order: "
                f"{foreign_key} {tuple(value.shape)} stands where {key} {tuple(shape)} must"
            )
    if len(own) != len(foreign):
        raise ModelError(
            f"the weights of {source.architecture} do not fit in order: {len(foreign)} tensors for {len(own)}"
        )
    return {key: value for (key, _), (_, value) in zip(own, foreign, strict=True)}
