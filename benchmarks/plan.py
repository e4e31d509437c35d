"""What a plan costs beside its work: scheduling, overhead a task, and what a second worker brings.

    python benchmarks/plan.py schedule --tasks 1000000
    python benchmarks/plan.py overhead --tasks 1000 [--ray local]
    python benchmarks/plan.py extraction --model efficientnet-lite0 --dataset ami-br --data DIR --cells 2048

`schedule` gives the tasks of a grid to workers that have done them at once: it clocks surveys' growth into tasks, the
choice of each task, and the journal. `overhead` runs a real plan of small fits and takes from the workers' time what
the tasks themselves took. `extraction` compares one worker with two, one thread each, beside a control of two
processes that only run the network: where these share a memory bus, no plan can do better.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recording import arguments, keep, say

GRID = """
[[grid]]
models = ["{model}"]
datasets = [{dataset}]
protocols = ["{protocol}"]
controls = "labels"
{further}
[execution]
device = "cpu"
{execution}
"""


class Instantly:
    """Workers that have done everything as soon as they are given it."""

    name, slots = "none", 64

    def __init__(self, shards, fits):
        self.free, self.outcomes = set(range(self.slots)), []
        self.shards, self.fits = shards, fits

    def start(self):
        """Nobody has to be started."""

    def submit(self, number, task):
        """Have a task be done."""
        from mitozoo.plan.task import Outcome

        value = self.survey(task) if task.kind == "survey" else {"computed": 0}
        self.outcomes.append(Outcome(number, task.key, value, seconds=0.0))
        self.free.discard(number)

    def wait(self, seconds):  # noqa: ARG002 - an executor's
        """Return what was done."""
        done, self.outcomes = self.outcomes, []
        self.free = set(range(self.slots))
        return done

    def close(self):
        """Nobody has to be ended."""

    def survey(self, task):
        """Return what a run of so many shards and fits needs."""
        asked = task.payload["asked"]
        store = f"{asked['model']}-{asked['dataset']}"
        shards = [[f"{store}{number}", 1000, False] for number in range(self.shards)]
        return {
            "run": task.key, "stored": False, "cells": 1000, "model": asked["model"], "fingerprint": asked["model"],
            "dataset": asked["dataset"], "protocol": asked["protocol"], "device": "cpu", "precision": "fp32",
            "trains": False, "patches": None, "controls": [], "bytes": 1000,
            "fits": [[[fold, seed, 1.0, ""]] for fold in range(5) for seed in range(self.fits // 5)],
            "embed": [{"store": store, "row_bytes": 100, "shards": shards}],
        }  # fmt: skip


def schedule(asked):
    from mitozoo.engine.request import Request
    from mitozoo.plan.drive import Drive
    from mitozoo.plan.grid import Execution
    from mitozoo.plan.journal import Journal
    from mitozoo.plan.task import Asked

    shards, fits, protocols = 100, 100, 5
    a_model = shards + protocols * (fits + 2)  # on one dataset: shards once, then surveys, fits and results
    pairs = max(1, round(asked.tasks / a_model))
    runs = [
        Asked(Request(model=f"model-{pair % 90}", dataset=f"dataset-{pair // 90}", protocol=f"protocol-{number}"))
        for pair in range(pairs)
        for number in range(protocols)
    ]
    with tempfile.TemporaryDirectory() as folder:
        execution = Execution(device="cpu", fits_a_task=1)
        drive = Drive(runs, execution, Instantly(shards, fits), Journal(Path(folder)))
        began, busy = time.perf_counter(), time.process_time()
        drive.run()
        taken, busy = time.perf_counter() - began, time.process_time() - busy
    assert not drive.unfinished
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    took = f"{taken:.1f} s, {busy:.1f} s of one processor, at most {most:,.0f} MB"
    say(f"{len(drive.graph):,} tasks of {len(runs):,} runs scheduled in {took}")


def plan_in(folder, model, protocol, further, execution, *arguments, dataset='"demo"'):
    """Run a plan in a folder of its own, with the cache of the caller; return its journal and the seconds it took."""
    file = Path(folder) / "grid.toml"
    file.write_text(GRID.format(model=model, dataset=dataset, protocol=protocol, further=further, execution=execution))
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "mitozoo", "plan", "run", str(file), "--out", str(Path(folder) / "runs"), *arguments],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    taken = time.perf_counter() - began
    [journal] = Path(folder).glob("runs/plans/*/*/journal.jsonl")
    return [json.loads(line) for line in journal.read_text().splitlines()], taken


def overhead(asked):
    seeds = asked.tasks // 2
    with tempfile.TemporaryDirectory() as folder:
        lines, taken = plan_in(
            folder, "colour-statistics", "knn", f"limit = 200\nfolds = 2\nfractions = [0.5]\nseeds = {seeds}",
            f"workers = {asked.workers}\nfits_a_task = 1", *(["--ray", asked.ray] if asked.ray else []),
        )  # fmt: skip
    begun = {line["key"]: line["time"] for line in lines if line["event"] == "task"}
    fits = [line for line in lines if line["event"] == "done" and line["kind"] == "fit"]
    fits.sort(key=lambda line: line["time"])
    settled = fits[asked.workers * 5 :]  # once every worker has its data
    wall = settled[-1]["time"] - fits[asked.workers * 5 - 1]["time"]
    busy = sum(line["seconds"] for line in settled)
    each = 1000 * (wall * asked.workers - busy) / len(settled)
    way = sorted(1000 * (line["time"] - begun[line["key"]] - line["seconds"]) for line in settled)
    say(
        f"{len(fits)} tasks in {taken:.1f} s, {'Ray ' + asked.ray if asked.ray else 'local'}, {asked.workers} workers: "
        f"{each:.1f} ms a task beside its own {1000 * busy / len(settled):.1f} ms; from submission to answer without "
        f"the work, median {way[len(way) // 2]:.1f} ms"
    )


def forward_loop(model, batches, gate, answers):
    import numpy as np
    import torch

    from mitozoo.engine.find_model import find_model
    from mitozoo.engine.subject import RegisteredModel

    torch.set_num_threads(1)
    encoder = RegisteredModel(find_model(model)).load()
    size = encoder.spec.preprocessing.size
    patches = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (32, size, size, 3), dtype=np.uint8))
    encoder.embed(patches, "fp32", "cpu")
    gate.wait()
    began = time.perf_counter()
    for _ in range(batches):
        encoder.embed(patches, "fp32", "cpu")
    answers.put(32 * batches / (time.perf_counter() - began))


def control(model, batches, processes):
    """Return the patches a second of so many processes together that only run the network."""
    context = multiprocessing.get_context("spawn")
    gate, answers = context.Barrier(processes), context.Queue()
    started = [context.Process(target=forward_loop, args=(model, batches, gate, answers)) for _ in range(processes)]
    for process in started:
        process.start()
    rates = [answers.get() for _ in started]
    for process in started:
        process.join()
    return sum(rates)


def extraction(asked):
    rates = {}
    for turn in range(asked.repeats):
        for workers in (1, 2) if turn % 2 == 0 else (2, 1):
            home = Path(os.environ["MITOZOO_HOME"]) / "embeddings"
            shutil.rmtree(home, ignore_errors=True)
            with tempfile.TemporaryDirectory() as folder:
                further, data = f"limit = {asked.cells}\nfolds = 1", f', data = "{asked.data}"' if asked.data else ""
                execution = f"workers = {workers}\nthreads = 1"
                lines, _ = plan_in(
                    folder, asked.model, "knn", further, execution, dataset=f'{{ name = "{asked.dataset}"{data} }}'
                )
            embeds = [line for line in lines if line["event"] == "done" and line["kind"] == "embed"]
            begun = min(line["time"] for line in lines if line["event"] == "task" and line["kind"] == "embed")
            wall = max(line["time"] for line in embeds) - begun
            rates.setdefault(workers, []).append(sum(line["cells"] for line in embeds) / wall)
    one, two = (sorted(rates[n])[len(rates[n]) // 2] for n in (1, 2))
    say(f"extraction: {one:.1f} patches/s with one worker, {two:.1f} with two: {two / one:.2f} times")
    alone, both = (control(asked.model, max(2, asked.cells // 64), n) for n in (1, 2))
    say(f"control, forward loops alone: {alone:.1f} with one process, {both:.1f} with two: {both / alone:.2f} times")


def main():
    parser = arguments(__doc__)
    parser.add_argument("what", nargs="?", choices=["schedule", "overhead", "extraction"], default="schedule")
    parser.add_argument("--tasks", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ray")
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cells", type=int, default=2048, help="of extraction: a shard, one task, has up to 1,024")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    asked.tasks = asked.tasks or {"schedule": 1_000_000, "overhead": 1000}.get(asked.what)
    if asked.what == "extraction" and "MITOZOO_HOME" not in os.environ:
        parser.error("set MITOZOO_HOME to a folder of your own: its embeddings are removed again and again")
    {"schedule": schedule, "overhead": overhead, "extraction": extraction}[asked.what](asked)
    keep(asked, __doc__)


if __name__ == "__main__":
    main()
