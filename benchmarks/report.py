"""Time and size of a report of many runs: 20 models x 5 seeds x 5 fractions x 5 folds on 14,000 cells, by default.

The runs are made up: cells in slides, a score for each test and validation cell, tables and metrics by the code that
writes real ones. Only the metrics of the first model are computed; the others' documents repeat them.

python benchmarks/report.py
"""

from __future__ import annotations

import copy
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from recording import arguments, keep, say

from mitozoo.data.folds import make_folds
from mitozoo.data.splits import held_out_parts
from mitozoo.report.report import write_report
from mitozoo.results.cell_columns import CellColumns
from mitozoo.results.conditions import Conditions
from mitozoo.results.pathologists import pathologists_parts
from mitozoo.results.row import DONE, Axes, ResultRow
from mitozoo.results.run_folder import RESULT, SCHEMA, dump, run_id
from mitozoo.results.scoring import labelled_rows, score
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS, cell_table, prediction_table, split_table, write_table
from mitozoo.storage import content_ids

PARAMETERS = {
    "kind": "linear-probe", "split": "auto", "outer_folds": 5, "split_seed": 0, "fraction_of": "groups",
    "inner_folds": 5,
}  # fmt: skip
FRACTIONS = (1.0, 0.5, 0.3, 0.1, 0.05)


def main():
    parser = arguments(__doc__)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cells", type=int, default=14_000)
    parser.add_argument("--slides", type=int, default=300)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = simulated(Path(folder), asked.models, asked.seeds, asked.cells, asked.slides)
        page = Path(folder) / "report.html"
        start, used = time.perf_counter(), time.process_time()
        told = write_report(runs, page)
        say(f"report of {len(runs)} runs: {time.perf_counter() - start:.1f} s, of the processor "
              f"{time.process_time() - used:.1f} s; {page.stat().st_size / 1e6:.2f} MB")  # fmt: skip
        print(*told, sep="\n")
    keep(asked, __doc__)


def simulated(root: Path, models: int, seeds: int, cells: int, slides: int) -> list[Path]:
    """Write the folders of made-up runs of one dataset."""
    random = np.random.default_rng(0)
    slide = np.sort(random.integers(slides, size=cells))
    label = (random.random(cells) < 0.3).astype(np.int8)
    names = pd.Series([f"slide-{number:03}" for number in slide], dtype="str")
    table = pd.DataFrame({
        "cell_id": pd.Series([f"cell-{number:05}" for number in range(cells)], dtype="str"), "slide": names,
        "group": "made-up/" + names, "split": "", "label": label, "negative_kind": np.where(label == 1, "", "hard"),
        "votes": [[] for _ in range(cells)], "domain_scanner": np.where(slide % 3 == 0, "a", "b"),
    })  # fmt: skip
    columns = CellColumns.of(table, Conditions())
    folds = make_folds(
        columns.labels, columns.groups, table["split"].to_numpy(dtype=np.str_), columns.domains,
        Conditions().recipe(PARAMETERS),
    )  # fmt: skip
    places = [Axes(fold.index, seed, fraction) for fraction in FRACTIONS for fold in folds for seed in range(seeds)]
    labels, groups = columns.labels, columns.groups
    drawn = {axes: labelled_rows(labels, groups, folds[axes.fold].train, axes, "groups") for axes in places}
    parts = {
        axes: tuple(held_out_parts(labels, groups, drawn[axes], kind="linear-probe", folds=5, seed=0))
        for axes in places
    }
    document, runs = None, []
    for model in range(models):
        rows = []
        for axes in places:
            test, held_out = folds[axes.fold].test, np.concatenate(parts[axes])
            chance = 1 / (1 + np.exp(-(1 + model / models) * (label - 0.5) - random.normal(0, 1, cells)))
            rows.append(ResultRow(
                axes, DONE, train=drawn[axes], inner_parts=parts[axes], test=test, test_scores=chance[test],
                validation_scores=chance[held_out],
            ))  # fmt: skip
        document = document or documented(columns, folds, rows, table)
        runs.append(written(root / f"model-{model:02}", copy.deepcopy(document), model, table, rows))
    return runs


def documented(columns, folds, rows, table):
    """Return the document of one made-up run, whose identity is filled in later."""
    stated = {"voters": 0, "independent_votes": False, "region_mm2": None, "positive_class": "mitotic figure"}
    classes = {
        side: {"name": name, "cells": int((table["label"] == value).sum())}
        for side, name, value in (("positive", "mitotic figure", 1), ("negative", "look-alike", 0))
    }
    nothing = "0" * 64
    return {
        "schema": SCHEMA, "precision": "fp32", "conditions": Conditions().to_json(), "marks": ["synthetic data"],
        "contamination": "declared none", "audit": {}, "image_controls": None, "only_in_test": {},
        "dataset": stated | {
            "name": "made-up", "plugin": None, "version": None, "fingerprint": nothing, "cells": len(table),
            "groups": table["group"].nunique(), "group_level": "slide", "classes": classes,
            "cells_sha256": nothing, "negatives": "hard", "synthetic": True,
            "domains": ["scanner"],
        },
        "protocol": {"name": "linear-probe", "version": 1, "hash": nothing, "parameters": PARAMETERS},
        "folds": [
            {"fold": fold.index, "name": fold.name, "reference_for": None, "trained_on": fold.trained_on}
            for fold in folds
        ],
        "geometry": dict.fromkeys(("window_um", "edge", "source_mpp", "seen_um", "input_mpp", "model_mpp")),
        **score(columns, folds, rows),
        **pathologists_parts(columns, table["votes"], folds, rows, stated),
    }  # fmt: skip


def written(folder: Path, document, model: int, table, rows) -> Path:
    """Write a run's folder, without the files of its rows, which a report does not read."""
    folder.mkdir()
    write_table(cell_table(table), folder / CELLS)
    write_table(split_table(table["cell_id"], rows), folder / SPLITS)
    write_table(prediction_table(table["cell_id"], rows), folder / PREDICTIONS)
    names = (CELLS, SPLITS, PREDICTIONS)
    document["identity"] = dict.fromkeys(
        ("model", "weights", "dataset", "cells", "windows", "negatives", "protocol", "conditions", "precision"), ""
    ) | {"model": f"model-{model:02}", "pipeline": None}
    document["run_id"] = run_id(document["identity"])
    document["model"] = {
        "name": f"model-{model:02}", "plugin": None, "version": None, "fingerprint": "0" * 64, "embed_dim": 1,
        "weights_sha256": None, "parameters": int(1e6 * (1 + model) ** 2),
    }  # fmt: skip
    document["files"] = dict(zip(names, content_ids([folder / name for name in names]), strict=True))
    (folder / RESULT).write_text(dump(document), encoding="utf-8")
    return folder


if __name__ == "__main__":
    main()
