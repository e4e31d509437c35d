"""Embeds a folder of crops as `mitozoo embed` does, from the table of cells to whole files in a cache."""

from __future__ import annotations

import pandas as pd  # noqa: F401 - what mitozoo imports on the way is imported before the clock starts
import safetensors.numpy  # noqa: F401
from extraction_task import ARCHITECTURE, LENGTH, MEAN, SIDE, STD, Task

from mitozoo import Checkpoint, ModelSpec, Preprocessing
from mitozoo.data.cells import read_cells
from mitozoo.data.geometry import Geometry
from mitozoo.data.own import own_dataset
from mitozoo.data.patches import plan_patches
from mitozoo.embeddings.extract import Embedded, embed
from mitozoo.embeddings.store import EmbeddingKey, EmbeddingStore
from mitozoo.models.encoder import Encoder, load_encoder

SPEC = ModelSpec(
    name="vit-small",
    load=Checkpoint(
        architecture=f"timm:{ARCHITECTURE}", kwargs={"num_classes": 0}, repo="", revision=None,
        filename="weights.safetensors", url="", sha256=None, entry="", strip_prefix="", rename={}, drop=(),
    ),
    preprocessing=Preprocessing(
        size=SIDE, resize="none", resize_to=SIDE, interpolation="bilinear", antialias=True, mean=MEAN, std=STD,
        mpp=None, mpp_basis="none",
    ),
    embed_dim=LENGTH, pooling="network", prefix_tokens=1, precision="fp32", license="none", reference="random weights",
)  # fmt: skip


def main() -> None:
    task = Task.given()
    encoder = load_encoder(SPEC, weights=task.weights)
    found: list[Embedded] = []
    task.measure(lambda: found.append(extract(task, encoder)), lambda: found[0].vectors, "mitozoo")


def extract(task: Task, encoder: Encoder) -> Embedded:
    table = task.crops / "cells.csv"
    cells = read_cells(own_dataset(table), table.parent)
    plan = plan_patches(cells, Geometry(None, "reflect", window_px=SIDE), target_px=SIDE)
    key = EmbeddingKey(SPEC.name, SPEC.fingerprint(), encoder.weights_sha256, "fp32", LENGTH)
    store = EmbeddingStore(key, task.folder / "cache")
    return embed(plan, store, lambda: encoder, device="cpu", batch_size=task.batch_size)


if __name__ == "__main__":
    main()
