"""What each side of extraction_peers.py is given and hands back; imported by the interpreter of that side."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import timm
import torch
from safetensors.torch import load_file

if TYPE_CHECKING:
    from collections.abc import Callable

ARCHITECTURE, SIDE, LENGTH = "vit_small_patch16_224", 224, 384
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Task:
    """One extraction.

    Attributes:
        crops: folder of PNG crops of `SIDE` px, in the order of their names, and cells.csv, which lists them.
        weights: the network's state dict, safetensors.
        folder: where this side, and no other, keeps what it writes.
        batch_size: crops at once.
        cores: how many threads the network has, and how many cores there are.
    """

    crops: Path
    weights: Path
    folder: Path
    batch_size: int
    cores: int

    def command(self, python: Path, script: Path) -> list[str]:
        """Return what starts a side."""
        return [str(python), str(script), json.dumps(asdict(self), default=str)]

    @classmethod
    def given(cls) -> Task:
        """Return the task of this process, its threads set."""
        stated = json.loads(sys.argv[1])
        task = cls(**stated | {name: Path(stated[name]) for name in ("crops", "weights", "folder")})
        torch.set_num_threads(task.cores)
        return task

    def files(self) -> list[Path]:
        """Return the crops in their order."""
        return sorted(self.crops.glob("*.png"))

    def network(self) -> torch.nn.Module:
        """Return the network with the weights of everyone; it has seen one image, as every encoder of mitozoo has."""
        network = timm.create_model(ARCHITECTURE, num_classes=0).eval()
        network.load_state_dict(load_file(self.weights))
        with torch.inference_mode():
            network(torch.rand(1, 3, SIDE, SIDE))
        return network

    def measure(self, embed: Callable[[], object], read: Callable[[], np.ndarray], package: str) -> None:
        """Time `embed`, which leaves embeddings on the disk; hand back what `read` finds there, (n, LENGTH)."""
        start = time.perf_counter()
        embed()
        seconds = time.perf_counter() - start
        np.save(self.folder / "embeddings.npy", read())
        versions = {name: metadata.version(name) for name in (package, "torch", "timm")}
        told = json.dumps({"seconds": seconds, "versions": versions})
        (self.folder / "measured.json").write_text(told, encoding="utf-8")
