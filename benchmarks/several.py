"""Reading for three models in one call against three calls: windows decoded, and processor time spent on it.

Slides are synthetic pyramids of JPEG tiles, cells lie at random; networks cost nothing, so that what is clocked is
reading and resampling. That both ways cache the same bytes is checked first.

python benchmarks/several.py [--models efficientnet-lite0,resnet50,plip] [--cells 2000] [--rounds 3]
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from patches import SPEC, write_slides
from recording import arguments, keep, say

from mitozoo.data import jpeg_tiles
from mitozoo.data.cells import Cells
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import PatchPlan, plan_patches
from mitozoo.data.slide import Slide
from mitozoo.data.slides import _open_slides
from mitozoo.embeddings.embedder import Extraction
from mitozoo.embeddings.extract import embed_missing
from mitozoo.embeddings.store import EmbeddingKey, EmbeddingStore
from mitozoo.models.encoder import Encoder
from mitozoo.plugins.registry import load_registry

DIMENSIONS, ACROSS, DOWN = 8, 28_000, 26_000


class Mean(torch.nn.Module):
    """Says little of an image, and costs nothing."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return a few pixels."""
        return images[:, 0, 0, :DIMENSIONS]


class Clock:
    """Adds up what all threads spend in `Slide.read`."""

    def __init__(self) -> None:
        self.seconds, self.windows, self.lock = 0.0, 0, threading.Lock()
        self._read, clock = Slide.read, self

        def read(self, *arguments):
            start = time.thread_time()
            window = clock._read(self, *arguments)
            spent = time.thread_time() - start
            with clock.lock:
                clock.seconds, clock.windows = clock.seconds + spent, clock.windows + 1
            return window

        Slide.read = read

    def take(self) -> tuple[float, int]:
        """Return what was added up, and begin anew."""
        taken = self.seconds, self.windows
        self.seconds, self.windows = 0.0, 0
        return taken


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--models", default="efficientnet-lite0,resnet50,plip")
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    encoders = [null_encoder(name) for name in asked.models.split(",")]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        write_slides(Path(folder), ["slide-0.tif", "slide-1.tif"], 256)
        cells = made_up(Path(folder), asked.cells)
        plans = [
            plan_patches(cells, Geometry(56.0, "reflect"), target_px=encoder.spec.preprocessing.size)
            for encoder in encoders
        ]
        rounds = []
        for number in range(asked.rounds):
            places = [Path(folder) / f"{number}-{way}" for way in ("one", "three")]
            one = embed_calls([list(zip(plans, encoders, strict=True))], places[0], clock)
            three = embed_calls([[pair] for pair in zip(plans, encoders, strict=True)], places[1], clock)
            assert contents(places[0]) == contents(places[1]), "both ways must cache the same"
            rounds.append((*one, *three))
    ratios = [tuple(row[which] / row[which + 3] for which in range(3)) for row in rounds]
    reading, windows, everything = (statistics.median(row[which] for row in ratios) for which in range(3))
    first = rounds[0]
    say(f"{len(encoders)} models in one call, {asked.cells} cells: {first[1]} windows read, not {first[4]}")
    say(f"of three calls' reading: {windows:.3f} of the windows, {reading:.3f} of the processor time")
    say(f"of all their processor time but the networks': {everything:.3f} (medians of {asked.rounds} pairs)")
    keep(asked, __doc__)


def embed_calls(calls: list[list[tuple[PatchPlan, Encoder]]], place: Path, clock: Clock) -> tuple[float, int, float]:
    """Return the processor time of reading, the windows read, and all processor time of some calls."""
    clock.take()
    start = time.process_time()
    for together in calls:
        _open_slides.clear()
        jpeg_tiles._decoded_tiles.cache_clear()
        extractions = [
            Extraction(plan, EmbeddingStore(key_of(encoder), place), lambda encoder=encoder: encoder)
            for plan, encoder in together
        ]
        embed_missing(extractions, device="cpu", batch_size=32)
    return *clock.take(), time.process_time() - start


def key_of(encoder: Encoder) -> EmbeddingKey:
    return EmbeddingKey(encoder.spec.name, encoder.spec.fingerprint(), "-", "fp32", DIMENSIONS)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}


def made_up(folder: Path, count: int) -> Cells:
    random = np.random.default_rng(2)
    files = [f"slide-{number % 2}.tif" for number in range(count)]
    names = [f"{number:06}" for number in range(count)]
    table = pd.DataFrame({"cell_id": names, "slide": files, "group": files, "file": files, "mpp": np.nan, "label": 0})
    table["x"], table["y"] = random.uniform(500, ACROSS, count), random.uniform(500, DOWN, count)
    return Cells(SPEC, folder, table, "slide")


def null_encoder(name: str) -> Encoder:
    spec = dataclasses.replace(load_registry().model(name).spec, embed_dim=DIMENSIONS, pooling="network")
    return Encoder(spec, Mean(), "-")


if __name__ == "__main__":
    main()
