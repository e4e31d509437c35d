"""Extraction from uint8 crops in memory: the share of the device's own matrix products that large networks reach.

The networks have random weights, the precision is that of extraction, and what is clocked is what extraction does once
patches are read: bring a batch to the device, normalise, go forward, copy embeddings back, some batches under way. The
yardstick is measured in the same process. That embeddings are those of single precision, but for rounding, is checked
first.

python benchmarks/matrix_share.py [--models uni,virchow2,h-optimus-0] [--cells 8192] [--batch 256] [--device cuda]
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import torch
from recording import arguments, keep, say, skip

from mitozoo.embeddings.embedder import UNDER_WAY
from mitozoo.embeddings.forward import run_network
from mitozoo.engine.cost import device_name
from mitozoo.models.devices import pick_device, place, send
from mitozoo.models.encoder import Encoder, random_encoder
from mitozoo.models.matrix_peak import matrix_peak, wait_for
from mitozoo.plugins.registry import load_registry

if TYPE_CHECKING:
    from mitozoo.embeddings.forward import Waiting

GOALS = {"uni": 0.40, "virchow2": 0.50, "h-optimus-0": 0.50}  # ViT-L/16, ViT-H/14, ViT-g/14
LEAST_COSINE = 0.99  # between embeddings in half and in single precision
CHECKED = 4  # crops


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--models", default=",".join(GOALS))
    parser.add_argument("--cells", type=int, default=8192)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="bf16", help="bf16, fp16 or fp32; with '+compiled' behind, compiled")
    parser.add_argument("--device", default="cuda")
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        skip("the goals are those of a data-centre GPU, and there is none here (--device cpu measures this processor)")
    device = pick_device(asked.device)
    kind = asked.precision.partition("+")[0]
    peak = matrix_peak(device, kind)
    say(f"{device_name(device)}: matrix products in {kind} reach {peak / 1e12:,.3f} TFLOP/s")
    for name in asked.models.split(","):
        encoder = random_encoder(load_registry().model(name).spec, seed=0)
        place(encoder, device)
        size = encoder.spec.preprocessing.size
        crops = np.random.default_rng(0).integers(0, 256, (asked.cells, size, size, 3), dtype=np.uint8)
        check(encoder, crops[:CHECKED], asked.precision, device)
        embed_all(encoder, crops[: asked.batch], asked.batch, asked.precision, device)  # warms up
        rates = [
            asked.cells / embed_all(encoder, crops, asked.batch, asked.precision, device) for _ in range(asked.rounds)
        ]
        rate = statistics.median(rates)
        goal = f" (goal {GOALS[name]:.0%} on a data-centre GPU)" if name in GOALS else ""
        share = f"{encoder.flops * rate / peak:.1%} of that{goal}" if encoder.flops else "operations not counted"
        say(f"{name}: {rate:,.1f} crops/s in batches of {asked.batch}, {share}, median of {asked.rounds}")
    keep(asked, __doc__)


def check(encoder: Encoder, crops: np.ndarray, precision: str, device: str) -> None:
    """End the run where embeddings in this precision are not those of single precision, but for rounding."""
    one, other = (encoder.embed(torch.from_numpy(crops).to(device), kind, device) for kind in (precision, "fp32"))
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    if not (cosine >= LEAST_COSINE).all():  # NaN is no likeness
        raise SystemExit(f"{encoder.spec.name}: cosine of {cosine.min()} between {precision} and fp32")


def embed_all(encoder: Encoder, crops: np.ndarray, batch: int, precision: str, device: str) -> float:
    """Return the seconds from crops in memory to embeddings in memory, as many batches under way as in extraction."""
    under_way: deque[Waiting] = deque()
    wait_for(device)
    start = time.perf_counter()
    for at in range(0, len(crops), batch):
        patches = send(torch.from_numpy(crops[at : at + batch]), device)
        under_way.append(run_network(encoder, patches, precision, device))
        if len(under_way) > UNDER_WAY:
            under_way.popleft()()
    for wait in under_way:
        wait()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
