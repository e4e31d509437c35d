"""The result document of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mitozoo.data.folds import confounded
from mitozoo.engine.subject import BroughtEmbeddings, RegisteredModel
from mitozoo.results.image_controls import image_control_parts, overlap_mark
from mitozoo.results.pathologists import pathologists_parts, stated_by
from mitozoo.results.run_folder import SCHEMA, run_id
from mitozoo.results.scoring import CellColumns, score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mitozoo.data.folds import SplitRecipe
    from mitozoo.data.patches import PatchPlan
    from mitozoo.data.splits import Fold
    from mitozoo.engine.request import Request
    from mitozoo.engine.seen import Seen
    from mitozoo.plugins.specs import DatasetSpec
    from mitozoo.protocols.spec import Protocol
    from mitozoo.results.row import ResultRow

SEVERITY = ("declared none", "unknown", "images or cohort seen", "labels seen")  # of contamination, the worst last


def result_document(
    *,
    identity: dict[str, Any],
    subject: RegisteredModel | BroughtEmbeddings,
    protocol: Protocol,
    request: Request,
    recipe: SplitRecipe,
    seen: Seen,
    folds: Sequence[Fold],
    rows: Sequence[ResultRow],
    audit: dict[str, Any],
    files: dict[str, str],
    controls: Mapping[str, Path | str],
) -> dict[str, Any]:
    """Return the document of a run: the same for every run of the same thing."""
    cells, spec, conditions = seen.cells, seen.cells.spec, request.conditions
    columns = CellColumns.of(cells.table, conditions)
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
            "groups": len(np.unique(cells.groups)),
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
        "conditions": conditions.to_json(),
        "folds": [
            {"fold": fold.index, "name": fold.name, "reference_for": fold.reference_for, "trained_on": fold.trained_on}
            for fold in folds
        ],
        "only_in_test": confounded(folds, columns.domains, recipe),
        "geometry": _geometry(subject, seen.plan),
        "marks": _marks(subject, spec, protocol, request, recipe, seen, folds, rows) + [overlap] * bool(overlap),
        "contamination": max((subject.contamination(one.spec) for one in seen.datasets), key=SEVERITY.index),
        **scored,
        **seeing,
        **pathologists_parts(columns, cells.table["votes"], folds, rows, stated),
        "audit": audit,
        "files": files,
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


def _marks(
    subject: RegisteredModel | BroughtEmbeddings,
    spec: DatasetSpec,
    protocol: Protocol,
    request: Request,
    recipe: SplitRecipe,
    seen: Seen,
    folds: Sequence[Fold],
    rows: Sequence[ResultRow],
) -> list[str]:
    """Return what a table must show beside the number."""
    own = {fold.index for fold in folds if fold.reference_for is None}
    tested = len(own & {row.axes.fold for row in rows})
    skipped = seen.plan.skipped if seen.plan else ()
    model_saw = {subject.contamination(one.spec) for one in seen.datasets}
    marks = {
        "synthetic data": spec.synthetic,
        f"only {len(seen.cells):,} cells": seen.limited,
        f"{tested} of {len(own)} folds": tested < len(own),
        request.conditions.summary(): bool(request.conditions.summary()),
        "THIS SPLIT LEAKS: test cases may have been trained on": seen.shared_cells is None,
        "THIS SPLIT LEAKS: annotations of one case on both sides": recipe.leaks,
        "the model saw labels of it in training": "labels seen" in model_saw,
        "the model saw images or the cohort of it in training": "images or cohort seen" in model_saw,
        "brought embeddings": seen.plan is None,
        "protocol changed by --set": "+" in protocol.name,
        "short, not a result": protocol.name.startswith("end-to-end-short"),
        f"{len(skipped):,} unreadable cells left out": bool(skipped),
        "not independent: grouped by image": "image" in seen.cells.group_level,
        "patch-only dataset": spec.patch_px is not None,
        "a control, not a model": isinstance(subject, RegisteredModel) and subject.spec.controls_only,
    }
    return [mark for mark, applies in marks.items() if applies]
