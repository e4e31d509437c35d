"""The fastest that a device multiplies matrices: the yardstick of what a network reaches on it."""

from __future__ import annotations

import time

import torch

from mitozoo.models.devices import number_format

SIDES = (512, 1024, 2048, 4096, 8192)
LOOP_SECONDS, LONGEST_SECONDS = 0.2, 0.25  # of a loop, and of one product beyond which no larger one is tried
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def matrix_peak(device: str, precision: str) -> float:
    """Return operations a second of square matrix products, a multiply-add being two: the best side's best product.

    Args:
        device: 'cuda', 'mps' or 'cpu'.
        precision: 'fp32', 'fp16' or 'bf16', in the way in which networks run here too, whoever made them.
    """
    best = 0.0
    for side in SIDES:
        one, other = (torch.randn(side, side, device=device, dtype=DTYPES[number_format(precision)]) for _ in range(2))
        product = torch.mm(one, other)  # warms up
        wait_for(device)
        number, start = 0, time.perf_counter()
        while time.perf_counter() - start < LOOP_SECONDS:
            torch.mm(one, other, out=product)
            wait_for(device)
            number += 1
        seconds = (time.perf_counter() - start) / number
        best = max(best, 2 * side**3 / seconds)
        if seconds > LONGEST_SECONDS:
            break
    return best


def wait_for(device: str) -> None:
    """Return once a device has done all that it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device.startswith("mps"):
        torch.mps.synchronize()
