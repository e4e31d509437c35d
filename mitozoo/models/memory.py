"""How much memory a device has, and what to do where it does not hold a batch: halve it, and say so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mitozoo.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Patches = npt.NDArray[np.uint8] | list[npt.NDArray[np.uint8]]  # an array, or windows of several sizes


class Halving:
    """Sends batches through a network; one that does not fit goes in halves, and so do all that follow.

    Attributes:
        limit: the most patches at once that are tried; None as long as every batch fitted.
    """

    def __init__(
        self,
        forward: Callable[[Patches], npt.NDArray[np.float32]],
        on_note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._forward, self._on_note = forward, on_note
        self.limit: int | None = None

    def __call__(self, patches: Patches) -> npt.NDArray[np.float32]:
        """Embed n patches as (n, embed_dim).

        Raises:
            ModelError: the memory does not even hold one patch.
        """
        parts: list[npt.NDArray[np.float32]] = []
        done = 0
        while done < len(patches):
            at_once = min(self.limit or len(patches), len(patches) - done)
            fitted = self._try(patches[done : done + at_once])
            if fitted is not None:
                parts.append(fitted)
                done += at_once
                continue
            self.limit = at_once // 2
            self._on_note(f"{at_once} patches at once do not fit into memory: going on with {self.limit}")
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _try(self, patches: Patches) -> npt.NDArray[np.float32] | None:
        """Return None where the patches do not fit; what the attempt held is free again then."""
        try:
            return self._forward(patches)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(patches) == 1:
                raise ModelError(
                    "the memory of this device does not hold the network and one patch",
                    hint="Try --precision fp16, another --device, or --device cpu.",
                ) from error
        if torch.cuda.is_available():  # beyond the handler, since the error's traceback holds the tensors
            torch.cuda.empty_cache()
        return None


def free_bytes(device: str) -> int | None:
    """Return how much memory of a device is free; None where that cannot be told."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # not on Linux
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether a device ran out of memory; CUDA has a class for it, Apple's devices only a sentence."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or "MPS backend out of memory" in str(error)
