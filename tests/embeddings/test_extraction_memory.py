"""Extraction of any number of cells stays within a bounded memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

MEASURE = """
import json, resource, sys
from pathlib import Path
import numpy as np, pandas as pd, torch
from mitozoo.data.cells import Cells
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import plan_patches
from mitozoo.embeddings.extract import embed
from mitozoo.embeddings.store import EmbeddingKey, EmbeddingStore
from mitozoo.models.encoder import load_encoder
from mitozoo.plugins.registry import load_registry
import dataclasses, tifffile

torch.set_num_threads(1)
folder, SIDE = Path(sys.argv[1]), 1024
pixels = np.random.default_rng(0).integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8)
tifffile.imwrite(folder / "slide.tif", pixels, tile=(256, 256), photometric="rgb")
spec, model = load_registry().dataset("tiny").spec, load_registry().model("steady").spec
model = dataclasses.replace(model, preprocessing=dataclasses.replace(model.preprocessing, size=128, resize_to=128))

def run(count):
    places = np.random.default_rng(1).uniform(70, SIDE - 70, (count, 2))
    table = pd.DataFrame({"cell_id": [f"{n:06}" for n in range(count)], "slide": "slide", "file": "slide.tif",
                          "x": places[:, 0], "y": places[:, 1], "mpp": 1.0})
    plan = plan_patches(Cells(spec, folder, table, "slide"), Geometry(128.0, "reflect"), target_px=128)
    store = EmbeddingStore(EmbeddingKey("m", str(count), "w", "fp32", 16), folder / "cache")
    found = embed(plan, store, lambda: load_encoder(model), device="cpu", batch_size=32)
    assert found.vectors.shape == (count, 16) and found.computed == count
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)

print(json.dumps([run(1_000), run(6_000)]))
"""


@pytest.mark.slow
def test_six_times_the_cells_need_little_more_memory(zoo, zoo_site, tmp_path):
    """The larger one's patches alone, 128 px, would be 295 MB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(zoo_site), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    few, many = json.loads(done.stdout)
    assert many - few < 150, (few, many)  # batches in flight, and what the allocator keeps of them
