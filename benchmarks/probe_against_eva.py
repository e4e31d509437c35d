"""Time of a whole linear probe (penalty and threshold chosen in 5 grouped folds) against kaiko-eva's offline fit.

kaiko-eva lives in an environment of its own (uv pip install "kaiko-eva[vision]", whose Python --eva names);
this script runs there too, as the other side. Both get the same embeddings; eva gets them as it keeps them, one file a
tile. Some of its steps are timed and all that its configurations ask for (12,500) are counted up.

python benchmarks/probe_against_eva.py --eva DIR/bin/python
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from recording import arguments, keep, say, skip

CELLS, DIMENSIONS, TESTED = 16_000, 384, 2_000
STEPS, BATCH, LEARNING_RATE = 12_500, 256, 3e-4  # of its configurations for patch classification


def main():
    parser = arguments(__doc__)
    parser.add_argument("--eva", type=Path, help="the Python of an environment that has kaiko-eva")
    parser.add_argument("--steps", type=int, default=60, help="how many of its steps are timed")
    parser.add_argument("--their-side", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.their_side:
        print(json.dumps(eva_seconds_a_step(asked.their_side, asked.steps)))
        return

    if asked.eva is None:
        skip("say --eva with the Python of an environment that has kaiko-eva")

    random = np.random.default_rng(0)
    spectrum = np.arange(1, DIMENSIONS + 1) ** -0.5
    embeddings = (random.normal(size=(CELLS + TESTED, DIMENSIONS)) * spectrum).astype(np.float32)
    chance = 1 / (1 + np.exp(-2 * embeddings @ random.normal(size=DIMENSIONS)))
    labels = (random.random(len(embeddings)) < chance).astype(np.int8)
    groups = np.char.add("slide-", (np.arange(len(embeddings)) // 80).astype(str))

    from sklearn.metrics import roc_auc_score

    from mitozoo.protocols.linear_probe import LinearProbe, fit_linear_probe

    train, test = np.arange(CELLS), np.arange(CELLS, len(embeddings))
    start = time.perf_counter()
    probe = LinearProbe(name="linear-probe", version=1, title="")
    ours = fit_linear_probe(probe, embeddings, labels, groups, train, test)
    seconds = time.perf_counter() - start
    say(f"ours: {seconds:.1f} s, AUROC {roc_auc_score(labels[test], ours.test_scores):.4f}")

    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/embeddings.npz", embeddings=embeddings, labels=labels)
        command = [asked.eva, __file__, "--eva", asked.eva, "--steps", str(asked.steps), "--their-side", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        theirs = json.loads(done.stdout.splitlines()[-1])
    whole = theirs["seconds_a_step"] * STEPS
    say(f"eva: {1000 * theirs['seconds_a_step']:.1f} ms a step, {whole:.0f} s for {STEPS:,} steps of one run")
    say(f"ratio: {whole / seconds:.0f}")
    keep(asked, __doc__)


def eva_seconds_a_step(folder: Path, steps: int) -> dict[str, float]:
    """Return what a step of its own trainer, dataset and head takes; runs where kaiko-eva is installed."""
    import torch
    from eva.core import trainers
    from eva.core.data import dataloaders, datamodules, datasets
    from eva.core.data.datamodules import schemas
    from eva.core.models.modules import HeadModule
    from lightning.pytorch.callbacks import Callback

    class Clock(Callback):
        """Notes when each step ended."""

        def __init__(self) -> None:
            self.ends: list[float] = []

        def on_train_batch_end(self, *_: object) -> None:
            self.ends.append(time.perf_counter())

    given = np.load(folder / "embeddings.npz")
    manifest = ["embeddings,target,split"]
    for index in range(CELLS):
        torch.save(torch.from_numpy(given["embeddings"][index : index + 1]), folder / f"{index}.pt")
        manifest.append(f"{index}.pt,{given['labels'][index]},train")
    (folder / "manifest.csv").write_text("\n".join(manifest), encoding="utf-8")
    data = datasets.EmbeddingsClassificationDataset(str(folder), "manifest.csv", split="train")
    loader = dataloaders.DataLoader(batch_size=BATCH, shuffle=True, num_workers=2, pin_memory=False)
    module = datamodules.DataModule(
        datasets=schemas.DatasetsSchema(train=data, val=data),
        dataloaders=schemas.DataloadersSchema(train=loader, val=loader),
    )
    head = HeadModule(
        head=torch.nn.Linear(DIMENSIONS, 2),
        criterion=torch.nn.CrossEntropyLoss(),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=LEARNING_RATE),
    )
    clock = Clock()
    trainer = trainers.Trainer(
        callbacks=[clock],
        limit_val_batches=0,  # what it would spend on validation is left out
        max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        default_root_dir=str(folder), num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(head, datamodule=module)
    return {"seconds_a_step": float(np.median(np.diff(clock.ends)))}


if __name__ == "__main__":
    main()
