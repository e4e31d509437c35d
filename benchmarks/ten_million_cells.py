"""A made-up dataset of any size, planned, probed and reported: the time and the memory of each process.

    python benchmarks/ten_million_cells.py --cells 1000000,10000000 [--folder DIR] [--gigabytes 8]

Cells lie in slides of 500, two slides a case, three scanners. Their embeddings are drawn, in 64 dimensions of which one
direction tells the label a little, and stand in the cache as if a model had made them: 3 GB for 10,000,000 cells. Then
`mitozoo plan run` (the linear probe on the first of five grouped folds, with all its penalties, controls and intervals)
and `mitozoo report` do what they do. Memory is what is not mapped from a file, at its peak, of each process; one that
takes more than `--gigabytes` is ended, and so is the benchmark. Tables and shards are made by a process of their own.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

EMBED_DIM, WINDOW, SIDE = 64, 32, 8192  # the window in um and in px, and the side of a slide in px
CELLS_A_SLIDE, SLIDES_A_CASE, FILES = 500, 2, 4
SCANNERS = ("one", "other", "third")
ENCODER = f'''
import torch
from mitozoo import Preprocessing

class Drawn(torch.nn.Module):
    """Stands for the model whose embeddings were drawn; it never sees a patch."""

    embed_dim = {EMBED_DIM}
    preprocessing = Preprocessing(
        size={WINDOW}, resize="square", resize_to={WINDOW}, interpolation="bilinear", antialias=True,
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), mpp=None, mpp_basis="none",
    )

    def forward(self, images):
        return images[:, 0, 0, :1].expand(-1, {EMBED_DIM})
'''
GRID = f"""
out = "runs"
[[grid]]
models = ["drawn.py:Drawn"]
datasets = ["cells.parquet"]
crop_um = {WINDOW}
folds = 1
controls = "labels"
[execution]
device = "cpu"
threads = 1
workers = 1
task_minutes = 600
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default="1000000,10000000")
    parser.add_argument("--folder", type=Path, help="an empty one, which is kept; default: a temporary one")
    parser.add_argument("--gigabytes", type=float, default=8.0, help="that a process may take")
    parser.add_argument("--make", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.make is not None:
        make(asked.folder, asked.make)
        return
    for count in (int(part) for part in asked.cells.split(",")):
        with tempfile.TemporaryDirectory() as temporary:
            folder = asked.folder / str(count) if asked.folder else Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            steps(folder.absolute(), count, asked.gigabytes * 1000)


def steps(folder: Path, count: int, megabytes: float) -> None:
    """Make a dataset, and say what its making, plan and report took."""
    (folder / "grid.toml").write_text(GRID, encoding="utf-8")
    (folder / "drawn.py").write_text(ENCODER, encoding="utf-8")
    mitozoo = [sys.executable, "-m", "mitozoo"]
    step(folder, count, "made", [sys.executable, __file__, "--make", str(count), "--folder", "."], megabytes)
    step(folder, count, "planned and probed", [*mitozoo, "plan", "run", "grid.toml"], megabytes)
    [run] = (folder / "runs").glob("*/result.json")
    step(folder, count, "reported", [*mitozoo, "report", str(run), "--page", "report.html"], megabytes)


def step(folder: Path, count: int, what: str, command: list[str], megabytes: float) -> None:
    """Run a command and print what it took, in seconds and in memory."""
    began, before = time.perf_counter(), os.times()
    home = {"MITOZOO_HOME": str(folder / "home")}
    process = subprocess.Popen(command, cwd=folder, env=os.environ | home)
    peak = Peak(process.pid, megabytes)
    if process.wait():
        sys.exit(f"{count:,} cells: they could not be {what}")
    after = os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    taken = ", ".join(f"{most:,.0f} MB" for most in peak.stop())
    clock = time.perf_counter() - began
    print(f"{count:,} cells {what}: {clock:,.0f} s, {busy:,.0f} s of a processor; {taken}", flush=True)


def make(folder: Path, count: int) -> None:
    """Write slides, the table of cells, and the embeddings that the plan will find in the cache."""
    import tifffile

    from mitozoo.embeddings.extract import shards
    from mitozoo.embeddings.shard_files import Shard
    from mitozoo.embeddings.store import EmbeddingStore
    from mitozoo.engine.embed import key_of
    from mitozoo.engine.find_model import find_model
    from mitozoo.engine.request import Request
    from mitozoo.engine.seen import see
    from mitozoo.engine.subject import RegisteredModel
    from mitozoo.protocols.presets import find_protocol

    for number in range(FILES):  # of one colour each: nobody looks at them but for their size
        tiles = (np.full((256, 256, 3), number, dtype=np.uint8) for _ in range((SIDE // 256) ** 2))
        tifffile.imwrite(
            folder / f"slide-{number}.tif", tiles, shape=(SIDE, SIDE, 3), dtype=np.uint8, tile=(256, 256),
            photometric="rgb", compression="zlib",
        )  # fmt: skip
    random = np.random.default_rng(0)
    write_table(folder / "cells.parquet", count, random)
    subject, protocol = RegisteredModel(find_model("drawn.py:Drawn")), find_protocol("linear-probe")
    seen = see(Request("drawn.py:Drawn", "cells.parquet", crop_um=WINDOW), subject, protocol)
    labels, keys = seen.cells.labels, seen.plan.row_keys()
    store = EmbeddingStore(key_of(subject, "fp32"), dataset=seen.cells.spec.name)
    direction = random.normal(size=EMBED_DIM) / 8
    for rows in shards(seen.plan):
        drawn = random.normal(size=(len(rows), EMBED_DIM)) + np.outer(labels[rows], direction)
        store.write(Shard(keys[rows], drawn.astype(np.float32), keys[rows]))


def write_table(path: Path, count: int, random: np.random.Generator) -> None:
    """Write the table of cells; a case has a rate of positives of its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    slide = np.arange(count) // CELLS_A_SLIDE
    case = slide // SLIDES_A_CASE
    places = random.integers(WINDOW, SIDE - WINDOW, (count, 2))

    def named(prefix: str, numbers, digits: int):
        names = pa.array([f"{prefix}-{number:0{digits}}" for number in range(numbers[-1] + 1)])
        return names.take(pa.array(numbers))

    table = {
        "cell_id": named("cell", np.arange(count), 8),
        "slide": named("slide", slide, 6),
        "case": named("case", case, 6),
        "file": pa.array([f"slide-{number}.tif" for number in range(FILES)]).take(pa.array(slide % FILES)),
        "x": places[:, 0],
        "y": places[:, 1],
        "label": (random.random(count) < random.uniform(0.1, 0.5, case[-1] + 1)[case]).astype(np.int64),
        "scanner": pa.array(SCANNERS).take(pa.array(case % len(SCANNERS))),
        "mpp": np.ones(count),
    }
    pq.write_table(pa.table(table), path)


class Peak(threading.Thread):
    """Watches what each process from one downwards takes of memory that no file backs, MB; ends one that takes more."""

    def __init__(self, root: int, limit: float) -> None:
        super().__init__(daemon=True)
        self.root, self.limit = root, limit
        self.most: dict[int, float] = {}
        self.ended = threading.Event()
        self.start()

    def run(self) -> None:
        """Look ten times a second; Linux tells it only as it is now."""
        while not self.ended.wait(0.1):
            waiting = [self.root]
            while waiting:
                process = waiting.pop()
                try:
                    told = Path(f"/proc/{process}/status").read_text(encoding="ascii")
                    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
                except OSError:  # ended meanwhile
                    continue
                waiting += map(int, children.split())
                taken = [int(line.split()[1]) / 1024 for line in told.splitlines() if line.startswith("RssAnon:")]
                self.most[process] = max([self.most.get(process, 0.0), *taken])
                if self.most[process] > self.limit:
                    os.kill(process, signal.SIGKILL)

    def stop(self) -> list[float]:
        """Return the most that was seen of each process, the one that was watched first."""
        self.ended.set()
        return list(self.most.values())


if __name__ == "__main__":
    main()
