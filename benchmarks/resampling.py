"""Which resamples windows faster, PIL in threads or the batched arithmetic on a device; equal bytes checked first.

python benchmarks/resampling.py [--device cpu] [--windows 64] [--rounds 5]
"""

from __future__ import annotations

import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from recording import arguments, keep, say

from mitozoo.models import batched_preprocessing as batched
from mitozoo.models.preprocessing import resample
from mitozoo.plugins.preprocessing import Preprocessing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

SIDES = (128, 224, 256, 448)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--windows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()

    def wait() -> None:
        if asked.device.startswith("cuda"):
            torch.cuda.synchronize()

    random = np.random.default_rng(0)
    say(f"to 224 px, {asked.windows} windows, ms a window: PIL on {os.cpu_count()} cores, batched on {asked.device}")
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for side in SIDES:
            windows = list(random.integers(0, 256, (asked.windows, side, side, 3), dtype=np.uint8))
            for interpolation in ("bilinear", "bicubic"):
                rule = Preprocessing(
                    size=224, resize="short-side", resize_to=224, interpolation=interpolation, antialias=True,
                    mean=(0.5,) * 3, std=(0.5,) * 3, mpp=None, mpp_basis="none",
                )  # fmt: skip

                def by_pil(windows=windows, rule=rule) -> np.ndarray:
                    return np.stack(list(threads.map(lambda window: resample(window, rule), windows)))

                def in_a_batch(windows=windows, rule=rule) -> torch.Tensor:
                    return batched.prepare(windows, rule, asked.device, authors=False)

                assert np.array_equal(by_pil(), in_a_batch().cpu().numpy()), "both sides must give the same bytes"
                one, other = (milliseconds(work, wait, asked) for work in (by_pil, in_a_batch))
                say(f"{side:4} px {interpolation:8}  {one:6.3f}  {other:6.3f}  ratio {one / other:.2f}")
    keep(asked, __doc__)


def milliseconds(work: Callable[[], Any], wait: Callable[[], None], asked: argparse.Namespace) -> float:
    """Return the median time of one window."""
    taken = []
    for _ in range(asked.rounds):
        began = time.perf_counter()
        work()
        wait()
        taken.append(time.perf_counter() - began)
    return 1000 * statistics.median(taken) / asked.windows


if __name__ == "__main__":
    main()
