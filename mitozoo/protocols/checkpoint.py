"""What a training keeps on disk after each epoch, so that a killed one goes on where it stood."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from mitozoo import storage

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True)
class Best:
    """The weights with the lowest validation log loss, copied to the CPU when they were met."""

    learning_rate: float
    epoch: int
    loss: float
    weights: dict[str, Tensor]

    def sha256(self) -> str:
        """Return a digest of the weights, so that what was tested can be told."""
        return weights_sha256(self.weights)


@dataclass
class Progress:
    """Where the trials stand.

    Attributes:
        trial: which learning rate is tried, from 0.
        epoch: epochs of this trial that are done.
        trial_epoch: its epoch with the lowest loss so far.
        trial_loss: that loss.
        diverged: learning rates whose loss was no number any more.
        best: of all trials.
    """

    trial: int = 0
    epoch: int = 0
    trial_epoch: int = 0
    trial_loss: float = math.inf
    diverged: tuple[float, ...] = ()
    best: Best | None = None

    def next_trial(self) -> Progress:
        """Return the start of the next trial."""
        return Progress(trial=self.trial + 1, diverged=self.diverged, best=self.best)


@dataclass(frozen=True)
class Checkpoint:
    """One training's state in a file.

    Attributes:
        path: the file.
        identity: names what is trained, so that a checkpoint of anything else is never resumed.
    """

    path: Path
    identity: str

    def content(self, progress: Progress, states: dict[str, Any]) -> dict[str, Any]:
        """Return what a file would hold of the progress and the state of each part (network, optimiser, ...)."""
        best = vars(progress.best) if progress.best else None
        return {"identity": self.identity, "progress": vars(progress) | {"best": best}, "states": states}

    def write(self, content: dict[str, Any]) -> None:
        """Write the file, whole or not at all."""
        buffer = io.BytesIO()  # written by Python: torch would hide a full disk behind an error of its own
        torch.save(content, buffer)
        with storage.write_whole(self.path) as unfinished:
            unfinished.write_bytes(buffer.getbuffer())

    def load(self) -> tuple[Progress, dict[str, Any]] | None:
        """Return what was saved; None where there is nothing, or nothing of this training."""
        if not zipfile.is_zipfile(self.path):  # which a file cut short is not either
            return None
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            if content["identity"] != self.identity:
                return None
            progress = Progress(**content["progress"])
            states: dict[str, Any] = content["states"]
        except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError):
            return None  # damaged, or written by another version: the training starts anew
        progress.best = Best(**content["progress"]["best"]) if progress.best else None
        return progress, states


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """Return 64 hex digits over names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
