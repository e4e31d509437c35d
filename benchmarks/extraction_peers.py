"""Extraction with ViT-S/16 in fp32 beside kaiko-eva's, slide2vec's and THUNDER's: equal embeddings first, then time.

Every side is a process of its own with the same two threads and cores, the same PNG crops of 224 px (others are brought
to it before any clock starts, so that nobody resizes), batches of the same size, ImageNet's mean and std, and one
network of timm with random weights from one file. Sides take turns, and each round begins with another. Two times are
told: that of the extraction, from files on the disk and a loaded network to embeddings on the disk, and that of the
whole process. Each side keeps embeddings in its own way, and reads as it does by default on two cores:

* kaiko-eva: `predict` of its interface with its trainer, its data module and its `ClassificationEmbeddingsWriter`;
  a loading process for each core, and one that writes a file a crop.
* slide2vec: `Model.embed_images` with an encoder registered as its documentation says; it loads in the process itself.
  It can be told to start loading processes, but it spawns them, and each then imports torch again, which takes more
  of the processor than reading 2,000 crops does. A file of numbers and one of their origin a crop.
* THUNDER: `pre_computing_patch_embeddings` with a model of one's own; one loading process, which it lets nobody change,
  and an HDF5 dataset a crop. Its `benchmark` around it also logs in to wandb, and is left out.
* mitozoo: the table of cells, the plan of windows and `embed`, as `mitozoo embed` goes through them, with an empty
  cache; threads that read, and whole shards. Checksums of all pixels are its alone.

Each peer has an environment of its own; in THUNDER's, torchaudio (needed by another of its tasks) may be older than
torch, which then keeps transformers from being imported: uninstall it there.

uv venv EVA; uv pip install --python EVA/bin/python "kaiko-eva[vision]"
uv venv S2V; uv pip install --python S2V/bin/python slide2vec
uv venv THU; uv pip install --python THU/bin/python thunder-bench; uv pip uninstall --python THU/bin/python torchaudio
python benchmarks/extraction_peers.py --data DIR
    --eva EVA/bin/python --slide2vec S2V/bin/python --thunder THU/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from peers.extraction_task import Task

SIDES = Path(__file__).parent / "peers"
PEERS = {"eva": "kaiko-eva", "slide2vec": "slide2vec", "thunder": "THUNDER"}
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Measured:
    """One extraction by one side.

    Attributes:
        seconds: from crops on disk and a loaded network to embeddings on disk.
        whole: of the process, start-up and imports included.
        versions: of the side's package, torch and timm.
    """

    seconds: float
    whole: float
    versions: dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of PNG crops, its folders included")
    for name, title in PEERS.items():
        parser.add_argument(f"--{name}", type=Path, help=f"the Python of an environment that has {title}")
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--cores", type=int, default=2)
    asked = parser.parse_args()
    pythons = {name: getattr(asked, name).absolute() for name in PEERS if getattr(asked, name)}
    if asked.data is None or not pythons:
        print("not run: say --data with a folder of PNG crops, and --eva, --slide2vec or --thunder with its Python")
        return
    for name, title in PEERS.items():
        if name not in pythons:
            print(f"{title} is skipped: --{name} does not say which Python has it")
        elif not pythons[name].is_file():
            parser.error(f"there is no Python at {pythons[name]}")
    if hasattr(os, "sched_setaffinity"):  # the sides inherit it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: asked.cores])

    from peers.extraction_task import ARCHITECTURE, SIDE, Task

    with tempfile.TemporaryDirectory() as folder:
        task = Task(Path(folder, "crops"), Path(folder, "weights.safetensors"), Path(folder), asked.batch, asked.cores)
        write_crops(asked.data, task.crops, asked.cells, SIDE)
        write_weights(task.weights, ARCHITECTURE)
        runs, largest, least = in_turns({"mitozoo": Path(sys.executable)} | pythons, task, asked.rounds)
    print(f"{ARCHITECTURE} fp32, {asked.cells:,} crops of {SIDE} px, batch {asked.batch}, {asked.cores} cores")
    print(f"embeddings differ by {largest:.1e} at most (neighbouring crops' by {least:.1e} at least)")
    print(f"medians of {asked.rounds} rounds; times as long as mitozoo takes")
    print("\n".join(table(runs, asked.cells)))


def in_turns(pythons: dict[str, Path], task: Task, rounds: int) -> tuple[dict[str, list[Measured]], float, float]:
    """Have all sides extract in turns, each round begun by another; end the run where embeddings differ.

    Returns:
        What each side measured in each round, the largest difference between sides, and the least between neighbours.
    """
    runs: dict[str, list[Measured]] = {name: [] for name in pythons}
    names, expected, largest = list(pythons), None, 0.0
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            measured, found = extract(name, pythons[name], replace(task, folder=task.folder / f"{name}-{number}"))
            runs[name].append(measured)
            expected = found if expected is None else expected
            largest = max(largest, difference(name, found, expected))
    return runs, largest, float(np.abs(np.diff(expected, axis=0)).max(axis=1).min())


def write_crops(data: Path, folder: Path, cells: int, side: int) -> None:
    """Write crops of this side, drawn from a folder's, with the table that lists them."""
    from PIL import Image

    found = sorted(data.rglob("*.png"))
    if len(found) < cells:
        sys.exit(f"{data} has {len(found)} PNG files, not {cells}")
    folder.mkdir()
    rows = ["file,x,y,label,mpp"]
    for number, path in enumerate(sorted(random.Random(0).sample(found, cells))):
        with Image.open(path) as image:
            crop = image.convert("RGB")
        if crop.size != (side, side):
            crop = crop.resize((side, side), Image.Resampling.BICUBIC)
        crop.save(folder / f"{number:06}.png")
        rows.append(f"{number:06}.png,{side / 2:g},{side / 2:g},{number % 2},0.25")
    (folder / "cells.csv").write_text("\n".join(rows), encoding="utf-8")


def write_weights(path: Path, architecture: str) -> None:
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    save_file(timm.create_model(architecture, num_classes=0).state_dict(), path)


def extract(name: str, python: Path, task: Task) -> tuple[Measured, np.ndarray]:
    """Have a side extract, in a process of its own; return what it measured, and its embeddings."""
    task.folder.mkdir()
    threads = {variable: str(task.cores) for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    environment = os.environ | threads | {"HF_HUB_OFFLINE": "1", "MITOZOO_HOME": f"{task.folder}/home"}
    start = time.perf_counter()
    command = task.command(python, SIDES / f"embed_with_{name}.py")
    done = subprocess.run(command, env=environment, cwd=task.folder, capture_output=True, text=True, check=False)
    whole = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
    told = json.loads((task.folder / "measured.json").read_text(encoding="utf-8"))
    return Measured(told["seconds"], whole, told["versions"]), np.load(task.folder / "embeddings.npy")


def difference(name: str, found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference of any value; end the run where the embeddings are not the same."""
    if found.shape != expected.shape:
        sys.exit(f"{name} gives embeddings of shape {found.shape}, not {expected.shape}")
    largest = np.abs(found - expected).max(axis=1)
    if not (largest <= TOLERANCE).all():  # NaN is no equality
        wrong = int((~(largest <= TOLERANCE)).sum())
        sys.exit(f"{name}: {wrong} of {len(found)} embeddings differ by more than {TOLERANCE}, at most {largest.max()}")
    return float(largest.max())


def table(runs: dict[str, list[Measured]], cells: int) -> list[str]:
    """Return a line a side: its versions, medians, and how many times as long as mitozoo it takes, round by round."""
    lines = [f"{'':10} {'extraction':>12} {'cells/s':>8} {'times':>6} {'process':>9} {'times':>6}  versions"]
    for name, rounds in runs.items():
        seconds = statistics.median(each.seconds for each in rounds)
        whole = statistics.median(each.whole for each in rounds)
        pairs = list(zip(rounds, runs["mitozoo"], strict=True))
        longer = statistics.median(each.seconds / ours.seconds for each, ours in pairs)
        whole_longer = statistics.median(each.whole / ours.whole for each, ours in pairs)
        versions = ", ".join(" ".join(version) for version in rounds[0].versions.items())
        lines.append(
            f"{name:10} {seconds:10.2f} s {cells / seconds:8.1f} {longer:6.3f} {whole:7.2f} s {whole_longer:6.3f}  "
            f"{versions}"
        )
    return lines


if __name__ == "__main__":
    main()
