"""Checkpoint files of stated formats: their keys are mapped onto an architecture, and every one must find its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mitozoo.errors import ModelError
from mitozoo.models.loaders.generics import Arguments, build_network, call_builder, load_network
from mitozoo.models.loaders.networks import (
    build_timm,
    build_torchvision,
    filtered_by_timm,
    resolved,
    seeded,
    timm_head,
    torchvision_head,
)
from mitozoo.models.loaders.state import State, load_strictly, read_state
from mitozoo.models.weights import locate, weights_sha256
from mitozoo.plugins.sources import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    import torch


@build_network.register(Checkpoint)
def _build(source: Checkpoint, *, seed: int = 0, kwargs_override: Arguments = None) -> torch.nn.Module:
    kwargs = {**source.kwargs, **(kwargs_override or {})}
    if not isinstance(source.architecture, str):
        with seeded(seed):
            return call_builder(source.architecture, resolved(kwargs), "architecture")
    library, _, name = source.architecture.partition(":")
    return (build_timm if library == "timm" else build_torchvision)(name, kwargs, seed=seed)


@load_network.register(Checkpoint)
def _load(
    source: Checkpoint, *, kwargs_override: Arguments = None, file: Path | None = None
) -> tuple[torch.nn.Module, str]:
    sha256 = weights_sha256(source, file=file)
    network = build_network(source, kwargs_override=kwargs_override)
    state = mapped(read_state(locate(source, file=file), entry=source.entry), source)
    if source.resample_positions:
        state = filtered_by_timm(network, state)
    load_strictly(network, state, _name(source), head=_head(source, network))
    return network, sha256


def mapped(state: State, source: Checkpoint) -> State:
    """Return the tensors that a checkpoint's rules keep, by the names that they give.

    Raises:
        ModelError: a key lacks the stated prefix and is not dropped, or two tensors come to one name.
    """
    kept: State = {}
    foreign = []
    for key, tensor in state.items():
        name = key.removeprefix(source.strip_prefix)
        for pattern, replacement in source.rename.items():
            name = re.sub(pattern, replacement, name)
        if any(re.search(pattern, name) for pattern in source.drop):
            continue
        if not key.startswith(source.strip_prefix):
            foreign.append(key)
        elif name in kept:
            raise ModelError(f"the keys of {source.filename} do not stay apart: two become {name}")
        kept[name] = tensor
    if foreign:
        raise ModelError(
            f"the weights do not fit {_name(source)} "
            f"(surplus, without the prefix {source.strip_prefix}: {', '.join(foreign[:3])})"
        )
    return kept


def _name(source: Checkpoint) -> str:
    return source.architecture if isinstance(source.architecture, str) else source.architecture.__qualname__


def _head(source: Checkpoint, network: torch.nn.Module) -> tuple[str, ...]:
    """Return the key prefixes of the classifier that the network was built without."""
    if not isinstance(source.architecture, str):
        return ()
    if source.architecture.startswith("timm:"):
        return timm_head(network)
    return torchvision_head(network) if source.kwargs.get("num_classes") == 0 else ()
