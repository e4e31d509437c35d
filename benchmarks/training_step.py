"""Steps of an end-to-end training from the patch store, against forward and backward on tensors in memory.

Ours reads stored crops, makes random views, normalises, goes forward and backward, clips and steps the optimiser; the
bare side is given the very views that ours made, and goes forward and backward. That both see the same is checked.

python benchmarks/training_step.py [--model resnet50] [--cells 10000] [--steps 4] [--rounds 3] [--batch 32]
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from patches import write_slides
from recording import arguments, keep, say
from several import made_up

from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import plan_patches
from mitozoo.embeddings.patch_store import store_patches
from mitozoo.models.devices import autocast, pick_device, resolve_precision
from mitozoo.models.encoder import random_encoder
from mitozoo.models.heap import kept_memory
from mitozoo.plugins.registry import load_registry
from mitozoo.protocols.augmentation import MARGIN
from mitozoo.protocols.presets import find_protocol
from mitozoo.protocols.spec import override
from mitozoo.protocols.training import Training


class Recorded(Training):
    """Keeps the views that it trains on."""

    def _view(self, images, generator):
        self.views.append(super()._view(images, generator))
        return self.views[-1]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    asked = parser.parse_args()
    spec = load_registry().model(asked.model).spec
    device = pick_device("auto")
    precision = resolve_precision(spec, "auto", device)
    with tempfile.TemporaryDirectory() as folder, kept_memory(device):  # both sides, as every training has it
        os.environ["MITOZOO_HOME"] = f"{folder}/home"
        write_slides(Path(folder), ["slide-0.tif", "slide-1.tif"], 256)
        plan = plan_patches(
            made_up(Path(folder), asked.cells), Geometry(56.0, "reflect"), target_px=spec.preprocessing.size
        )
        stored = store_patches(plan, spec.preprocessing, margin_share=MARGIN)
        protocol = override(find_protocol("end-to-end"), {"batch_size": str(asked.batch), "learning_rates": "1e-4"})
        labels = np.random.default_rng(0).integers(2, size=asked.cells).astype(np.int8)
        fitted = np.random.default_rng(1).permutation(asked.cells)[: asked.steps * asked.batch]
        rows = fitted, np.empty(0, dtype=np.int64)
        given = protocol, lambda: random_encoder(spec, seed=0), stored, labels, labels, *rows, 0, device, precision
        training, recorded = Training(*given), Recorded(*given)
        recorded.views = []
        losses = [each._start(1e-4) or each._train_epoch(0, 1e-4) for each in (training, recorded)]
        assert losses[0] == losses[1], "both sides must see the same"
        ours, bare = [], []
        for number in range(1, asked.rounds + 1):
            ours.append(clocked(lambda number=number: training._train_epoch(number, 1e-4), device))
            bare.append(clocked(lambda: forward_and_backward(training, recorded.views), device))
    ratio = statistics.median(b / o for b, o in zip(bare, ours, strict=True))
    say(f"{asked.model} {precision} on {device}, {torch.get_num_threads()} threads, batch {asked.batch}")
    say(f"a store of {asked.cells:,} crops, {asked.steps} steps a round")
    for what, seconds in (("forward and backward in memory", bare), ("training from the store", ours)):
        say(f"{what:32}{1000 * statistics.median(seconds) / asked.steps:8.0f} ms a step")
    say(f"rate of the bare loop kept: {ratio:.3f} (median of {asked.rounds} pairs)")
    keep(asked, __doc__)


def forward_and_backward(training: Training, views: list[torch.Tensor]) -> None:
    target = torch.zeros(len(views[0]), device=views[0].device)
    for view in views:
        with autocast(training.device, training.precision):
            margins = training.network(view)[:, 0]
        torch.nn.functional.binary_cross_entropy_with_logits(margins.float(), target).backward()
        for parameter in training.network.parameters():
            parameter.grad = None


def clocked(work, device: str) -> float:
    start = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
