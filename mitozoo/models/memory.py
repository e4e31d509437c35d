"""How much memory a device has, and what to do where it does not hold a batch: halve it, and say so."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from mitozoo.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Patches = npt.NDArray[np.uint8] | list[npt.NDArray[np.uint8]]  # an array, or windows of several sizes
    Embeddings = npt.NDArray[np.float32]
    Waiting = Callable[[], Embeddings]

T = TypeVar("T")

FEW = 8  # patches that tell what one takes; what libraries take for themselves is counted as theirs, to be safe
SHARE_OF_FREE = 0.8
#: How devices and their libraries say that memory is full where they have no class of error for it.
FULL = (
    "MPS backend out of memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED",
)  # fmt: skip


class Halving:
    """Starts a network on batches whose embeddings are taken later; what does not fit goes in halves from then on.

    A device may say that its memory is full when a batch is started or only when its embeddings are taken. Either way
    that batch alone is started again; those before and behind it are not lost, nor does their order change.

    Attributes:
        limit: the most patches at once that are tried; None as long as every batch fitted.
    """

    def __init__(
        self, launch: Callable[[Patches], Waiting], on_note: Callable[[str], None] = lambda text: None
    ) -> None:
        """Take what starts the network on n patches and returns what waits for their embeddings (n, d)."""
        self._launch, self._on_note = launch, on_note
        self.limit: int | None = None

    def start(self, patches: Patches) -> Waiting:
        """Start on n patches, and return what waits for their embeddings (n, embed_dim).

        Raises:
            ModelError: the memory does not even hold one patch; by what is returned, too.
        """
        started: list[tuple[Patches, Waiting]] = []
        done = 0
        while done < len(patches):
            part = patches[done : done + (self.limit or len(patches))]
            waiting = self._try(partial(self._launch, part), len(part))
            if waiting is not None:
                started.append((part, waiting))
                done += len(part)
        return lambda: _joined([self._take(part, waiting) for part, waiting in started])

    def fit(self, patches: Patches, device: str) -> None:
        """Set the limit to what the free memory of a GPU holds of such patches, by what a few of them take."""
        if not device.startswith("cuda") or len(patches) <= FEW:
            return
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        self.start(patches[:FEW])()
        taken = torch.cuda.max_memory_allocated(device) - before
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        fitting = that_fit(len(patches), taken / FEW, (free_bytes(device) or 0) + unused)
        if fitting < len(patches):
            self._lower(len(patches), fitting)

    def _take(self, part: Patches, waiting: Waiting) -> Embeddings:
        taken = self._try(waiting, len(part))
        return self.start(part)() if taken is None else taken

    def _try(self, attempt: Callable[[], T], patches: int) -> T | None:
        """Return None where so many patches do not fit; what the attempt held is free again then."""
        try:
            return attempt()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if patches == 1:
                raise ModelError(
                    "the memory of this device does not hold the network and one patch",
                    hint="Try --precision fp16, another --device, or --device cpu.",
                ) from error
        self._lower(patches, patches // 2)
        if torch.cuda.is_available():  # beyond the handler, since the error's traceback holds the tensors
            torch.cuda.empty_cache()
        return None

    def _lower(self, patches: int, limit: int) -> None:
        """Go on with fewer, unless so many were tried before it was known that they are too many."""
        if self.limit is None or patches <= self.limit:
            self.limit = limit
            self._on_note(f"{patches} patches at once do not fit into memory: going on with {limit}")


def that_fit(wanted: int, bytes_of_a_patch: float, free: int) -> int:
    """Return how many patches at once a share of the free memory holds: those wanted, half of them, a quarter..."""
    while wanted > 1 and wanted * bytes_of_a_patch > SHARE_OF_FREE * free:
        wanted //= 2
    return wanted


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
    """Tell whether a device ran out of memory."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(sentence in str(error) for sentence in FULL)


def _joined(parts: list[Embeddings]) -> Embeddings:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
