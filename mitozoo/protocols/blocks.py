"""Where a network's blocks are: what it repeats between its stem and its last norm."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from torch.nn import Module, ModuleList, Sequential

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What timm, transformers, open_clip and torchvision call their lists of blocks, or of stages of blocks.
_LISTS = re.compile(r"blocks|resblocks|layers?|stages|layer\d")
_INSIDE_STAGES = ("blocks", "layers")


def blocks_of(network: Module) -> list[Module]:
    """Return all blocks in their order, those of several stages one after another; empty where none is recognised."""
    found: list[Module] = []
    for name, child in network.named_children():
        listed = isinstance(child, ModuleList | Sequential) and _LISTS.fullmatch(name)
        found += _unfold(child) if listed else blocks_of(child)
    return found


def after_blocks(network: Module) -> list[Module]:
    """Return the modules that stand behind the last block in the network's own order, such as its last norm."""
    last = blocks_of(network)[-1]
    inside = {id(module) for module in last.modules()}
    modules = list(network.modules())
    start = next(place for place, module in enumerate(modules) if module is last)
    return [module for module in modules[start:] if id(module) not in inside]


def _unfold(stages: Module) -> Iterator[Module]:
    """Yield the blocks in a list of blocks, or of stages, which hold such lists themselves."""
    for child in stages.children():
        inner = next((getattr(child, name) for name in _INSIDE_STAGES if hasattr(child, name)), None)
        if isinstance(inner, ModuleList | Sequential):
            yield from _unfold(inner)
        elif type(child) is Sequential and all(_is_composed(part) for part in child):
            yield from _unfold(child)
        elif _is_composed(child):
            yield child


def _is_composed(module: Module) -> bool:
    return next(module.children(), None) is not None
