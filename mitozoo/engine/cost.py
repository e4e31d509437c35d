"""What a run costs: its model's parameters and operations, and each call's seconds, device and memory."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mitozoo.engine.known_costs import known_cost

if TYPE_CHECKING:
    from mitozoo.engine.fits import Fitter
    from mitozoo.engine.progress import Progress
    from mitozoo.engine.request import Request

ENVIRONMENT = ("mitozoo", "torch", "timm", "numpy", "scipy", "scikit-learn", "pandas", "pillow", "openslide-python")
#: Stages that never leave the processor, whatever the device is.
ON_PROCESSOR = ("cells", "patches", "metrics and intervals")


def compute_record(request: Request, fingerprint: str, fitter: Fitter, progress: Progress) -> dict[str, Any]:
    """Return what one call cost and where it ran: the part of a run that no two runs share.

    Args:
        request: what was asked.
        fingerprint: of the model, under which the cost of its network is known.
        fitter: whoever made the rows.
        progress: clocked the stages.
    """
    seconds = {name: round(value, 3) for name, value in progress.seconds.items()}
    extraction = seconds.get("embeddings", 0.0)
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": fitter.device,
        "device_name": device_name(fitter.device),
        "threads": threads(),
        "seconds": seconds,
        "stages": {
            name: {"seconds": value, "device": "cpu" if name in ON_PROCESSOR else fitter.device}
            for name, value in seconds.items()
        },
        "model": known_cost(fingerprint),
        "embedded_cells": fitter.computed,
        "patches_per_second": round(fitter.computed / extraction, 1) if fitter.computed and extraction else None,
        "peak_memory_mb": peak_memory_mb(),
        "peak_device_memory_mb": peak_device_memory_mb(fitter.device),
        "environment": environment(),
        "seeds": request.seeds,
        "fractions": list(request.fractions),
    }


def environment() -> dict[str, str]:
    """Return the versions that a number may depend on."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "platform": f"{sys.platform} {platform.machine()}"}
    for name in ENVIRONMENT:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def device_name(device: str) -> str:
    """Return a device's name for people."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def threads() -> int:
    """Return how many threads torch computes with."""
    import torch

    return torch.get_num_threads()


def peak_memory_mb() -> int:
    """Return the most memory that this process took; 0 where that cannot be told."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(used / (1024**2 if sys.platform == "darwin" else 1024))


def peak_device_memory_mb(device: str) -> int | None:
    """Return the most that tensors took on a CUDA device; None elsewhere."""
    if not device.startswith("cuda"):
        return None
    import torch

    return round(torch.cuda.max_memory_allocated(device) / 1024**2)
