"""Which device a network runs on, and in which precision."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mitozoo.errors import ModelError

if TYPE_CHECKING:
    import torch

    from mitozoo.plugins.specs import ModelSpec


def pick_device(wanted: str) -> str:
    """Return 'cuda', 'mps' or 'cpu' for 'auto', else `wanted` once it is known to work.

    Raises:
        ModelError: this machine has no such device.
    """
    if wanted in ("auto", "cpu") and _nothing_but_a_cpu():
        return "cpu"
    import torch

    works = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, here in works.items() if here)
    if not works.get(wanted.split(":")[0]):
        raise ModelError(f"device '{wanted}' is not available on this machine", hint="Use --device auto.")
    return wanted


def _nothing_but_a_cpu() -> bool:
    """Tell, without importing torch, whether this is a Linux machine without any accelerator's driver."""
    if not sys.platform.startswith("linux"):
        return False
    return not any(Path(driver).exists() for driver in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg"))


def resolve_precision(spec: ModelSpec, wanted: str, device: str) -> str:
    """Return 'fp32', 'fp16' or 'bf16'; 'auto' is the authors' precision on CUDA and fp32 elsewhere."""
    if wanted == "auto":
        return spec.precision if device.startswith("cuda") else "fp32"
    return wanted


def autocast(device: str, precision: str) -> torch.autocast:
    """Return the context that runs a network in a precision on a device."""
    import torch

    low = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(torch.device(device).type, dtype=low, enabled=precision != "fp32")


def place(network: torch.nn.Module, device: str) -> torch.nn.Module:
    """Move a network to a device; convolutional ones with channels last, which is how patches lie in memory."""
    import torch

    convolutions = sum(isinstance(module, torch.nn.Conv2d) for module in network.modules())
    try:
        if convolutions > 1:  # a transformer has one, its patch embedding
            return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.to(device)
    except torch.cuda.OutOfMemoryError as error:
        raise ModelError(f"the memory of {device} does not hold the network", hint="Try --device cpu.") from error
