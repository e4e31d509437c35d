"""What extraction costs beyond the network: `embed` from files, cold, against a bare loop over decoded tensors.

python benchmarks/overhead.py [--dataset ami-br --data DIR] [--cells 512] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from mitozoo.data.cells import read_cells
from mitozoo.data.folder import select_data_folder
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import PatchPlan, plan_patches
from mitozoo.embeddings.extract import embed, shards
from mitozoo.embeddings.store import EmbeddingKey, EmbeddingStore
from mitozoo.models.encoder import Encoder, load_encoder
from mitozoo.models.preprocessing import normalise, resample
from mitozoo.plugins.registry import load_registry

BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cells", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()

    spec = load_registry().dataset(asked.dataset).spec
    cells = read_cells(spec, select_data_folder(spec, asked.data))
    cells = cells.take(np.arange(min(asked.cells, len(cells))))
    encoder = load_encoder(load_registry().model(asked.model).spec)
    encoder.to(memory_format=torch.channels_last)
    window = Geometry(None if spec.patch_px else 56.0, "reflect")
    plan = plan_patches(cells, window, target_px=encoder.spec.preprocessing.size)
    batches = [rows[at : at + BATCH] for rows in shards(plan) for at in range(0, len(rows), BATCH)]
    decoded = [decode(plan, encoder, rows) for rows in batches]

    bare, whole = [], []
    for number in range(asked.rounds + 1):  # the first round warms up and checks that both sides compute the same
        start = time.perf_counter()
        expected = np.concatenate([forward(encoder, patches) for patches in decoded])
        between = time.perf_counter()
        with tempfile.TemporaryDirectory() as cache:
            store = EmbeddingStore(key_of(encoder), Path(cache))
            found = embed(plan, store, lambda: encoder, device="cpu", batch_size=BATCH).vectors
        end = time.perf_counter()
        assert np.array_equal(found[np.concatenate(batches)], expected), "both sides must compute the same"
        if number:
            bare.append(between - start)
            whole.append(end - between)
    ratio = statistics.median(b / w for b, w in zip(bare, whole, strict=True))
    print(
        f"{asked.model} fp32 on {len(plan)} cells of {asked.dataset}, {torch.get_num_threads()} threads, batch {BATCH}"
    )
    print(f"bare forward loop  {len(plan) / statistics.median(bare):8.1f} cells/s")
    print(f"embed, cold        {len(plan) / statistics.median(whole):8.1f} cells/s")
    print(f"rate of the bare loop kept: {ratio:.3f} (median of {asked.rounds} pairs)")


def key_of(encoder: Encoder) -> EmbeddingKey:
    spec = encoder.spec
    return EmbeddingKey(spec.name, spec.fingerprint(), encoder.weights_sha256, "fp32", spec.embed_dim)


def decode(plan: PatchPlan, encoder: Encoder, rows: np.ndarray) -> torch.Tensor:
    patches = np.stack([resample(plan.read(int(row)), encoder.spec.preprocessing) for row in rows])
    return normalise(torch.from_numpy(patches), encoder.spec.preprocessing)


def forward(encoder: Encoder, images: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return encoder(images).numpy()


if __name__ == "__main__":
    main()
