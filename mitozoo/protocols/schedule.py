"""How a training moves weights: its optimiser, and the learning rate of each step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch.nn import Parameter

#: As torch's OneCycleLR has them where nothing is said.
START_DIVISOR, END_DIVISOR = 25.0, 1e4
HIGH_MOMENTUM, LOW_MOMENTUM = 0.95, 0.85


def make_optimiser(trained: list[Parameter], learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW that decays weight matrices alone; on CUDA it never makes the processor wait."""
    matrices = [p for p in trained if p.ndim in (2, 4)]  # three dimensions have tokens and position embeddings
    others = [p for p in trained if p.ndim not in (2, 4)]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, fused=trained[0].is_cuda)


def warm_cosine(peak: float, step: int, steps: int, rise: float) -> float:
    """Return the learning rate of a step: up to the peak in a share `rise` of all steps, then along a cosine to 0."""
    warm = max(1, round(rise * steps))
    if step < warm:
        return peak * ((step + 1) / warm)
    return peak * (0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


def one_cycle(peak: float, step: int, steps: int, rise: float) -> tuple[float, float]:
    """Return learning rate and momentum of a step: up to the peak in a share `rise` of all steps, then to almost 0."""
    top = max(rise * steps - 1, 1e-9)
    if step <= top:
        return _between(peak / START_DIVISOR, peak, step / top), _between(HIGH_MOMENTUM, LOW_MOMENTUM, step / top)
    share = (step - top) / (steps - 1 - top)
    return (
        _between(peak, peak / START_DIVISOR / END_DIVISOR, share),
        _between(LOW_MOMENTUM, HIGH_MOMENTUM, share),
    )


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
