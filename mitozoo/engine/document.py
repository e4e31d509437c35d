"""The result document of a run, and the tables that it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mitozoo.data.folds import confounded
from mitozoo.engine.marks import marks
from mitozoo.engine.subject import BroughtEmbeddings, RegisteredModel
from mitozoo.results.image_controls import image_control_parts, overlap_mark
from mitozoo.results.pathologists import pathologists_parts, stated_by
from mitozoo.results.run_folder import SCHEMA, run_id
from mitozoo.results.scoring import score
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS, cell_table, prediction_table, split_table, write_table
from mitozoo.storage import content_ids

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mitozoo.data.audit import PixelHashes
    from mitozoo.data.patches import PatchPlan
    from mitozoo.engine.question import Question
    from mitozoo.results.row import ResultRow
    from mitozoo.results.run_folder import RunFolder

SEVERITY = ("declared none", "unknown", "images or cohort seen", "labels seen")  # of contamination, the worst last


def write_document(
    asked: Question, identity: dict[str, Any], folder: RunFolder, pixels: PixelHashes | None,
    controls: Mapping[str, Path | str],
) -> dict[str, Any]:  # fmt: skip
    """Write the tables of a run over all rows that are there, and return its document.

    Args:
        asked: the question that the run answers.
        identity: everything that could change a number of it.
        folder: where its rows lie.
        pixels: a digest of each cell's pixels, where they were read.
        controls: the run of each control that sees the image, or why there is none.
    """
    rows, ids = folder.rows(), asked.cells.table["cell_id"]
    write_table(cell_table(asked.cells.table), folder.path / CELLS)
    write_table(split_table(ids, rows), folder.path / SPLITS)
    write_table(prediction_table(ids, rows), folder.path / PREDICTIONS)
    files = [folder.path / name for name in (CELLS, SPLITS, PREDICTIONS)] + folder.row_files()
    names = [path.relative_to(folder.path).as_posix() for path in files]
    document = _document(asked, identity, rows, controls)
    return document | {
        "audit": asked.seen.audit(asked.folds, pixels), "files": dict(zip(names, content_ids(files), strict=True)),
    }  # fmt: skip


def _document(
    asked: Question, identity: dict[str, Any], rows: Sequence[ResultRow], controls: Mapping[str, Path | str]
) -> dict[str, Any]:
    """Return what is the same in every run of the same thing, but for the audit and the files."""
    subject, protocol, request, seen, folds = asked.subject, asked.protocol, asked.request, asked.seen, asked.folds
    cells, spec, conditions, columns = seen.cells, seen.cells.spec, asked.conditions, asked.columns
    trained_on = seen.datasets[0]
    positives = int(cells.labels.sum())
    scored = score(columns, folds, rows)
    stated = stated_by([one.spec for one in seen.datasets])
    seeing = {"image_controls": image_control_parts(columns, rows, controls) if controls else None}
    overlap = overlap_mark(scored | seeing)
    return {
        "schema": SCHEMA,
        "run_id": run_id(identity),
        "identity": identity,
        "model": subject.document(),
        "dataset": {
            "name": spec.name,
            "plugin": trained_on.plugin,
            "version": trained_on.version,
            "fingerprint": seen.fingerprint,
            "tested_on": [
                {
                    "name": one.spec.name,
                    "plugin": one.plugin,
                    "version": one.version,
                    "license": one.spec.license,
                    "reference": one.spec.reference,
                }
                for one in seen.datasets[1:]
            ],
            "shared_cells_left_out": seen.shared_cells,
            "cells": len(cells),
            "cells_sha256": cells.sha256(),
            "groups": int(cells.table["group"].nunique()),
            "group_level": cells.group_level,
            "classes": {
                "positive": {"name": spec.positive_class, "cells": positives},
                "negative": {"name": spec.negative_class, "cells": len(cells) - positives},
            },
            "negatives": request.negatives,
            "negatives_origin": spec.negatives_origin,
            "domains": list(cells.domains),
            "synthetic": spec.synthetic,
            "license": spec.license,
            "reference": spec.reference,
            **stated,
        },
        "protocol": {
            "name": protocol.name,
            "version": protocol.version,
            "hash": protocol.hash,
            "parameters": protocol.parameters(),
        },
        "precision": identity["precision"],
        "deterministic": request.deterministic,
        "conditions": conditions.to_json(),
        "folds": [
            {"fold": fold.index, "name": fold.name, "reference_for": fold.reference_for, "trained_on": fold.trained_on}
            for fold in folds
        ],
        "only_in_test": confounded(folds, columns.domains, asked.recipe),
        "geometry": _geometry(subject, seen.plan),
        "marks": marks(asked, rows) + [overlap] * bool(overlap),
        "contamination": max((subject.contamination(one.spec) for one in seen.datasets), key=SEVERITY.index),
        **scored,
        **seeing,
        **pathologists_parts(columns, cells.table["votes"], folds, rows, stated),
    }


def _geometry(subject: RegisteredModel | BroughtEmbeddings, plan: PatchPlan | None) -> dict[str, Any]:
    if plan is None or isinstance(subject, BroughtEmbeddings):
        nothing = dict.fromkeys(("window_um", "edge", "source_mpp", "seen_um", "input_mpp", "model_mpp"))
        return nothing | {"note": "not known: the embeddings were brought along"}
    preprocessing = subject.spec.preprocessing
    seen_um = plan.seen_um * preprocessing.size / plan.target_px  # of a tile, the authors' crop is seen
    return {
        "window_um": plan.geometry.window_um,
        "edge": plan.geometry.edge,
        "source_mpp": _range(plan.mpp),
        "seen_um": _range(seen_um),
        "input_mpp": _range(seen_um / preprocessing.size),
        "model_mpp": preprocessing.mpp,
        "note": f"{plan.geometry.window_px} px of each slide's own, whatever their size"
        if plan.geometry.window_px is not None
        else "the dataset releases patches: each is seen whole"
        if plan.geometry.window_um is None
        else f"{plan.geometry.window_um:g} um around each cell, "
        + ("through the authors' own resize and crop" if plan.geometry.authors else "resampled once, whole"),
    }


def _range(values: npt.NDArray[np.float64]) -> dict[str, float]:
    return {name: round(float(of(values)), 6) for name, of in (("min", np.min), ("median", np.median), ("max", np.max))}
