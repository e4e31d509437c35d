"""Time and memory of extraction against the number of cells, with an encoder that costs nothing.

Each number of cells is a process of its own; the time of importing, and of the first few cells, is not counted. Memory
is what is not mapped from a file, beyond what a process with 1,000 cells takes.

python benchmarks/scaling.py [--cells 10000,30000,100000] [--embed-dim 16]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from recording import arguments, keep, say

SIDE = 4096  # px of the slide
WINDOW = 32  # px
FEW = 1000


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--cells", default="10000,30000,100000")
    parser.add_argument("--embed-dim", type=int, default=16)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one is not None:
        print(json.dumps(one(asked.one, asked.embed_dim)))
        return
    counts = [int(part) for part in asked.cells.split(",")]
    measured = {}
    for count in (FEW, *counts):
        command = [sys.executable, __file__, "--one", str(count), "--embed-dim", str(asked.embed_dim)]
        measured[count] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        cold, again, memory = measured[count]
        say(
            f"{count:>9,} cells: {cold:8.2f} s of processor time cold, {again:6.2f} s cached; "
            f"{memory:,.0f} MB not backed by a file, {memory - measured[FEW][2]:+,.0f}"
        )
    cold, again = ([measured[count][which] for count in counts] for which in (0, 1))
    for name, seconds in (("cold", cold), ("cached", again)):
        say(f"{name}: seconds grow as cells to the {np.polyfit(np.log(counts), np.log(seconds), 1)[0]:.3f}")
    keep(asked, __doc__)


def one(count: int, embed_dim: int) -> tuple[float, float, float]:
    """Return seconds cold and cached, and the peak of anonymous memory, MB, of one number of cells."""
    import tifffile
    import torch

    from mitozoo.data.geometry import Geometry
    from mitozoo.data.patches import plan_patches
    from mitozoo.embeddings.extract import embed
    from mitozoo.embeddings.store import EmbeddingKey, EmbeddingStore

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        pixels = np.random.default_rng(0).integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8)
        tifffile.imwrite(folder / "slide.tif", pixels, tile=(256, 256), photometric="rgb")
        encoder, seconds = null_encoder(embed_dim), []
        peak = Peak()
        for name, cells, times in (("few", FEW, 1), ("all", count, 2)):  # the first warms up
            plan = plan_patches(made_up(folder, cells), Geometry(float(WINDOW), "reflect"), target_px=WINDOW)
            store = EmbeddingStore(EmbeddingKey("null", name, "-", "fp32", embed_dim), folder / "cache")
            for _ in range(times):
                start = time.process_time()
                embed(plan, store, lambda: encoder, device="cpu", batch_size=256)
                seconds.append(time.process_time() - start)
        return seconds[1], seconds[2], peak.stop()


def made_up(folder: Path, count: int):
    """Return cells at random places of the slide."""
    import pandas as pd

    from mitozoo.data.cells import Cells
    from mitozoo.plugins.registry import load_registry

    places = np.random.default_rng(1).uniform(WINDOW, SIDE - WINDOW, (count, 2))
    names = [f"{number:07}" for number in range(count)]
    table = pd.DataFrame({"cell_id": names, "slide": "slide", "file": "slide.tif", "mpp": 1.0})
    table["x"], table["y"] = places.T
    return Cells(load_registry().dataset("midogpp").spec, folder, table, "slide")


def null_encoder(embed_dim: int):
    """Return an encoder whose network adds up next to nothing."""
    import dataclasses

    import torch

    from mitozoo.models.encoder import Encoder
    from mitozoo.plugins.registry import load_registry

    class Null(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, 0, 0, :1].expand(-1, embed_dim)

    spec = load_registry().model("efficientnet-lite0").spec
    small = dataclasses.replace(spec.preprocessing, size=WINDOW, resize_to=WINDOW)
    spec = dataclasses.replace(spec, preprocessing=small, embed_dim=embed_dim, pooling="network")
    return Encoder(spec, Null(), "-")


class Peak(threading.Thread):
    """Watches this process's memory that no file backs, MB; Linux tells it, and only as it is now."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.ended = 0.0, threading.Event()
        self.start()

    def run(self) -> None:
        """Look twenty times a second."""
        while not self.ended.wait(0.05):
            for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
                if line.startswith("RssAnon:"):
                    self.most = max(self.most, int(line.split()[1]) / 1024)

    def stop(self) -> float:
        """Return the most that was seen."""
        self.ended.set()
        return self.most


if __name__ == "__main__":
    main()
