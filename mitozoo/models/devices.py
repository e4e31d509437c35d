"""Which device a network runs on, and in which precision."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mitozoo.errors import ModelError

if TYPE_CHECKING:
    import torch

    from mitozoo.plugins.model_spec import ModelSpec


#: Ends the name of a precision in which torch.compile made the network: its roundings are its own.
COMPILED = "+compiled"


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


def resolve_precision(spec: ModelSpec, wanted: str, device: str, *, compiled: bool = False) -> str:
    """Return what a network computes in: 'fp32', 'fp16' or 'bf16', and '+compiled' where torch.compile makes it.

    Args:
        spec: of the model.
        wanted: one of these, or 'auto': the authors' precision on CUDA and fp32 elsewhere.
        device: 'cuda', 'mps' or 'cpu'.
        compiled: whether torch.compile is to make the network.

    Raises:
        ModelError: the model cannot be compiled, since it runs in an environment of its own.
    """
    if compiled and spec.isolate:
        raise ModelError(f"model '{spec.name}' runs in an environment of its own, where it cannot be compiled")
    if wanted == "auto":
        wanted = spec.precision if device.startswith("cuda") else "fp32"
    return wanted + COMPILED if compiled else wanted


def number_format(precision: str) -> str:
    """Return 'fp32', 'fp16' or 'bf16' of a precision, whoever made the network."""
    return precision.removesuffix(COMPILED)


def autocast(device: str, precision: str) -> torch.autocast:
    """Return the context that runs a network in a precision on a device.

    'bf16' and 'fp16' mean the same everywhere: weights are kept in float32; matrix products and convolutions take their
    inputs in half precision, sum in float32 and round what they return; normalisations, softmax and what else torch's
    autocast keeps out of it are float32.
    """
    import torch

    precision = number_format(precision)
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


def send(tensor: torch.Tensor, device: str | torch.device) -> torch.Tensor:
    """Copy a tensor from the processor's memory to a device.

    Nobody waits for the copy to a GPU but the kernels that use it: neither the processor nor those that run already.
    """
    import torch

    if torch.device(device).type != "cuda":
        return tensor.to(device)
    copying, computing = _copying(str(device)), torch.cuda.current_stream(device)
    with torch.cuda.stream(copying):
        sent = tensor.pin_memory().to(device, non_blocking=True)  # not pinned, it would wait for all that came before
    computing.wait_stream(copying)
    sent.record_stream(computing)  # its memory is not given away before that has used it
    return sent


@functools.cache
def _copying(device: str) -> torch.cuda.Stream:
    """Return the queue of a GPU's copies, beside that of its kernels."""
    import torch

    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
