"""What extraction costs beyond the network, and what bf16 gains: `embed` from files, cold, against a bare loop.

The bare loop runs the network over tensors that were decoded, resampled and normalised before, and does nothing else.
The first round warms up and checks that both sides compute the same: in fp32 to the last bit, in bf16 within a
hundredth of an embedding's length. Sides take turns. Without --model the network is a ViT-S/16 with random weights.
The bare loop keeps its memory between batches as `embed` does; what it takes otherwise is told beside it.

python benchmarks/extraction.py [--dataset ami-br --data DIR] [--cells 2000] [--rounds 3] [--model NAME]
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import timm
import torch

from mitozoo import ModelSpec, Preprocessing
from mitozoo.data.cells import read_cells
from mitozoo.data.folder import select_data_folder
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import PatchPlan, plan_patches
from mitozoo.embeddings.extract import embed
from mitozoo.embeddings.shards import shards
from mitozoo.embeddings.store import EmbeddingKey, EmbeddingStore
from mitozoo.models.devices import place
from mitozoo.models.encoder import Encoder, load_encoder
from mitozoo.models.heap import kept_memory
from mitozoo.models.preprocessing import normalise, resample
from mitozoo.plugins.registry import load_registry

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 32
BF16_APART = 1e-2  # of an embedding's length, at most, in the median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", metavar="NAME")
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()

    spec = load_registry().dataset(asked.dataset).spec
    cells = read_cells(spec, select_data_folder(spec, asked.data))
    cells = cells.take(np.arange(min(asked.cells, len(cells))))
    encoder = load_encoder(load_registry().model(asked.model).spec if asked.model else VIT)
    place(encoder, "cpu")
    window = Geometry(None if spec.patch_px else 56.0, "reflect")
    plan = plan_patches(cells, window, target_px=encoder.spec.preprocessing.size)
    batches = [rows[at : at + BATCH] for rows in shards(plan) for at in range(0, len(rows), BATCH)]
    decoded = [decode(plan, encoder, rows) for rows in batches]

    sides: dict[str, Callable[[], np.ndarray]] = {
        "bare, fp32": lambda: bare(encoder, decoded, kept_memory("cpu")),
        "bare, fp32, memory as the C library keeps it": lambda: bare(encoder, decoded, contextlib.nullcontext()),
        "embed, fp32": lambda: cold(plan, encoder, "fp32")[np.concatenate(batches)],
        "bare, torch's autocast to bf16": lambda: bare(encoder, decoded, torch.autocast("cpu", torch.bfloat16)),
        "embed, bf16": lambda: cold(plan, encoder, "bf16")[np.concatenate(batches)],
    }
    first = {name: side() for name, side in sides.items()}
    require_the_same(first)
    clock: dict[str, list[float]] = {name: [] for name in sides}
    processor: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(asked.rounds):
        for name, side in sides.items():
            start, worked = time.perf_counter(), time.process_time()
            side()
            clock[name].append(time.perf_counter() - start)
            processor[name].append(time.process_time() - worked)

    print(
        f"{encoder.spec.name} on {len(plan)} cells of {asked.dataset}, {torch.get_num_threads()} threads, batch {BATCH}"
    )
    for name in sides:
        rate, cost = (len(plan) / statistics.median(seconds[name]) for seconds in (clock, processor))
        print(f"{name:32} {rate:8.1f} cells/s, {cost:8.1f} a second of the processor")
    for text, numerator, denominator in (
        ("rate of the bare loop kept (goal 0.95)", "bare, fp32", "embed, fp32"),
        ("times as fast in bf16 (goal 2)", "embed, fp32", "embed, bf16"),
    ):
        on_clock, of_processor = (
            statistics.median(a / b for a, b in zip(seconds[numerator], seconds[denominator], strict=True))
            for seconds in (clock, processor)
        )
        print(f"{text}: {on_clock:.3f}, by processor time {of_processor:.3f} (median of {asked.rounds} pairs)")


def require_the_same(found: dict[str, np.ndarray]) -> None:
    exact = found["bare, fp32"]
    assert np.array_equal(found["embed, fp32"], exact), "both sides must compute the same"
    for name in ("bare, torch's autocast to bf16", "embed, bf16"):
        apart = np.linalg.norm(found[name] - exact, axis=1) / np.linalg.norm(exact, axis=1)
        assert np.median(apart) < BF16_APART, f"{name}: {np.median(apart):.1e} of an embedding's length apart"


def cold(plan: PatchPlan, encoder: Encoder, precision: str) -> np.ndarray:
    spec = encoder.spec
    key = EmbeddingKey(spec.name, spec.fingerprint(), encoder.weights_sha256, precision, spec.embed_dim)
    with tempfile.TemporaryDirectory() as cache:
        return embed(plan, EmbeddingStore(key, Path(cache)), lambda: encoder, device="cpu", batch_size=BATCH).vectors


def bare(
    encoder: Encoder, decoded: list[torch.Tensor], precision: contextlib.AbstractContextManager[object]
) -> np.ndarray:
    with torch.inference_mode(), precision:
        return np.concatenate([encoder(images).float().numpy() for images in decoded])


def decode(plan: PatchPlan, encoder: Encoder, rows: np.ndarray) -> torch.Tensor:
    patches = np.stack([resample(plan.read(int(row)), encoder.spec.preprocessing) for row in rows])
    return normalise(torch.from_numpy(patches), encoder.spec.preprocessing)


def vit_small() -> torch.nn.Module:
    torch.manual_seed(0)
    return timm.create_model("vit_small_patch16_224", num_classes=0)


VIT = ModelSpec(
    name="vit-small-random", load=vit_small, embed_dim=384, pooling="network", prefix_tokens=1, precision="fp32",
    preprocessing=Preprocessing(
        size=224, resize="square", resize_to=224, interpolation="bicubic", antialias=True, mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5), mpp=None, mpp_basis="none",
    ),
    license="none", reference="random weights",
)  # fmt: skip


if __name__ == "__main__":
    main()
