"""Time to check a submission: 72,000 cells, as in a collection of 32 slides, and as in one of 300 cases.

The run is made up: cells in slides, a score for each test and validation cell; tables, metrics and document by the code
that writes real ones.

python benchmarks/submission.py
"""

from __future__ import annotations

import hashlib
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from recording import arguments, keep, say

from mitozoo.data.folds import confounded, make_folds
from mitozoo.data.splits import held_out_parts
from mitozoo.protocols.presets import find_protocol
from mitozoo.results.cell_columns import CellColumns
from mitozoo.results.conditions import Conditions
from mitozoo.results.pathologists import pathologists_parts
from mitozoo.results.row import DONE, Axes, ResultRow
from mitozoo.results.run_folder import RESULT, SCHEMA, dump, run_id
from mitozoo.results.scoring import labelled_rows, score, threshold_of
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS, cell_table, prediction_table, split_table, write_table
from mitozoo.submission import create
from mitozoo.submission.check import check_submission, sha256_of

STATED = {"voters": 0, "independent_votes": False, "region_mm2": None, "positive_class": "mitotic figure"}
NOTHING = "0" * 64


def main():
    parser = arguments(__doc__)
    parser.add_argument("--cells", type=int, default=72_000)
    parser.add_argument("--slides", type=int, nargs="+", default=[32, 300])
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    for slides in asked.slides:
        with tempfile.TemporaryDirectory() as folder:
            bundle = made_up(Path(folder) / "bundle", asked.cells, slides, asked.seeds)
            size = sum(path.stat().st_size for path in bundle.iterdir())
            check_submission(made_up(Path(folder) / "small", 20 * slides, slides, 1))  # imports what is imported late
            start, used = time.perf_counter(), time.process_time()
            verdict = check_submission(bundle)
            say(f"{asked.cells:,} cells in {slides} slides, 5 folds x {asked.seeds} seeds, {size / 1e6:.1f} MB: "
                  f"{time.perf_counter() - start:.1f} s, of the processor {time.process_time() - used:.1f} s; "
                  f"{verdict.level}")  # fmt: skip
    say(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB")
    keep(asked, __doc__)


def made_up(folder: Path, cells: int, slides: int, seeds: int) -> Path:
    """Write the submission of a made-up run."""
    folder.mkdir()
    random = np.random.default_rng(0)
    slide = np.sort(np.r_[np.arange(slides).repeat(10), random.integers(slides, size=cells - 10 * slides)])
    label = (random.random(cells) < 0.4).astype(np.int8)
    names = pd.Series([f"slide-{number:03}" for number in slide], dtype="str")
    table = pd.DataFrame({
        "cell_id": pd.Series([f"slide-{at:03}/{number:05}" for number, at in enumerate(slide)], dtype="str"),
        "slide": names, "group": "made-up/" + names, "split": "", "label": label,
        "negative_kind": np.where(label == 1, "", "hard"), "votes": [[] for _ in range(cells)],
        "domain_scanner": np.where(slide % 3 == 0, "a", "b"),
    })  # fmt: skip
    protocol = find_protocol("linear-probe")
    parameters = protocol.parameters()
    columns, conditions = CellColumns.of(table, Conditions()), Conditions()
    recipe = conditions.recipe(parameters)
    folds = make_folds(columns.labels, columns.groups, table["split"].to_numpy(dtype=np.str_), columns.domains, recipe)
    chance = 1 / (1 + np.exp(-1.5 * (label - 0.5) - random.normal(0, 1, cells)))
    rows = []
    for axes in (Axes(fold.index, seed, 1.0) for fold in folds for seed in range(seeds)):
        fold, labels, groups = folds[axes.fold], columns.labels, columns.groups
        train, test = labelled_rows(labels, groups, fold.train, axes, "groups"), fold.test
        parts = held_out_parts(labels, groups, train, kind="linear-probe", folds=5, seed=0)
        shaken = np.clip(chance + random.normal(0, 0.01, cells), 1e-6, 1 - 1e-6)
        row = ResultRow(
            axes, DONE, train=train, inner_parts=tuple(parts), test=test, test_scores=shaken[test],
            validation_scores=shaken[np.concatenate(parts)],
        )  # fmt: skip
        rows.append(ResultRow(**(vars(row) | {"threshold": threshold_of(columns, row)})))
    write_table(cell_table(table), folder / CELLS)
    write_table(split_table(table["cell_id"], rows), folder / SPLITS)
    write_table(prediction_table(table["cell_id"], rows), folder / PREDICTIONS)
    document = {
        "schema": SCHEMA, "precision": "fp32", "conditions": conditions.to_json(), "marks": [], "audit": {},
        "contamination": "declared none", "image_controls": None,
        "only_in_test": confounded(folds, columns.domains, recipe),
        "model": {
            "name": "made-up", "plugin": None, "version": None, "fingerprint": NOTHING, "embed_dim": 1,
            "weights_sha256": None,
        },
        "dataset": STATED | {
            "name": "made-up", "plugin": None, "version": None, "fingerprint": NOTHING, "cells": cells,
            "groups": slides, "group_level": "slide", "negatives": "hard",
            "synthetic": False, "cells_sha256": hashed(table), "classes": {
                side: {"name": name, "cells": int((label == value).sum())}
                for side, name, value in (("positive", "mitotic figure", 1), ("negative", "look-alike", 0))
            },
        },
        "protocol": {
            "name": protocol.name, "version": protocol.version, "hash": protocol.hash, "parameters": parameters,
        },
        "folds": [{"fold": fold.index, "name": "", "reference_for": None, "trained_on": ""} for fold in folds],
        "geometry": dict.fromkeys(("window_um", "edge", "source_mpp", "seen_um", "input_mpp", "model_mpp")),
        **score(columns, folds, rows),
        **pathologists_parts(columns, table["votes"], folds, rows, STATED),
        "files": {f"rows/{row.axes.row_id}.safetensors": NOTHING for row in rows}
        | {name: sha256_of(folder / name) for name in (CELLS, SPLITS, PREDICTIONS)},
    }  # fmt: skip
    document["identity"] = {
        "model": NOTHING, "weights": None, "dataset": NOTHING, "cells": document["dataset"]["cells_sha256"],
        "windows": NOTHING, "negatives": "hard", "protocol": protocol.hash, "conditions": conditions.to_json(),
        "precision": "fp32", "pipeline": 1,
    }  # fmt: skip
    document["run_id"] = run_id(document["identity"])
    (folder / RESULT).write_text(dump(document), encoding="utf-8")
    (folder / "compute.json").write_text('{"calls": []}')
    submission = {
        "schema": create.SCHEMA, "created": "", "mitozoo": "", "run_id": document["run_id"], "note": "", "check": None,
        "model": {"name": "made-up", "fingerprint": NOTHING, "weights_sha256": None, "record": None},
        "pretraining": {"data": None, "labels": None}, "test_set": None, "contact": "someone@example.org",
        "files": {path.name: sha256_of(path) for path in sorted(folder.iterdir())},
    }  # fmt: skip
    (folder / "submission.json").write_text(json.dumps(submission))
    return folder


def hashed(table: pd.DataFrame) -> str:
    """Return the sha256 of cells, slides, groups and labels."""
    digest = hashlib.sha256()
    for row in zip(*(table[name].tolist() for name in ("cell_id", "slide", "group", "label")), strict=True):
        digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


if __name__ == "__main__":
    main()
