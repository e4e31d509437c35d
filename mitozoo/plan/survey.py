"""What a run needs that is not there yet: found out in a worker, told as plain JSON values."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

from mitozoo.embeddings.embedder import Extraction
from mitozoo.embeddings.patch_store import absent_patches
from mitozoo.embeddings.shard_files import shard_name
from mitozoo.embeddings.shards import shards
from mitozoo.embeddings.store import EmbeddingStore
from mitozoo.engine.embed import key_of
from mitozoo.engine.evaluate import Evaluation
from mitozoo.engine.image_controls import run_image_controls, wants_image_controls
from mitozoo.engine.progress import Progress
from mitozoo.engine.subject import RegisteredModel, UntrainedModel
from mitozoo.plan.task import Asked

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.engine.request import Request


def evaluation_of(asked: Asked) -> Evaluation:
    """Return the evaluation of a run that is asked for."""
    evaluation = Evaluation(asked.request, Progress())
    if asked.untrained and isinstance(evaluation.subject, RegisteredModel):
        return Evaluation(asked.request, evaluation.progress, UntrainedModel(evaluation.subject.registered))
    return evaluation


def extractions(evaluation: Evaluation) -> list[Extraction]:
    """Return what an evaluation needs embedded: its cells, and what perturbations leave of them."""
    if not isinstance(subject := evaluation.subject, RegisteredModel) or evaluation.precision is None:
        return []
    key = key_of(subject, evaluation.precision, evaluation.request.deterministic)
    return [
        Extraction(plan, EmbeddingStore(key, dataset=plan.cells.spec.name), subject.load)
        for plan in evaluation.plans_to_embed()
    ]


def survey(evaluation: Evaluation, needed: list[Extraction], *, stored: bool) -> dict[str, Any]:
    """Return what a run is called, and what of it is missing.

    Args:
        evaluation: that has looked.
        needed: its `extractions`.
        stored: whether the run holds all that is wanted.
    """
    told: dict[str, Any] = {
        "run": evaluation.folder.path.name, "stored": stored, "cells": len(evaluation.cells),
        "model": evaluation.subject.name, "fingerprint": evaluation.identity["model"],
        "dataset": evaluation.cells.spec.name, "protocol": evaluation.protocol.name, "device": evaluation.device,
        "precision": evaluation.precision, "trains": evaluation.protocol.trains_network,
    }  # fmt: skip
    if stored:  # below a URL, its upload may have been cut short: the result's task looks
        below_url = evaluation.shared is not None
        return told | {"stored": not below_url, "fits": [], "embed": [], "patches": None, "controls": [], "bytes": 0}
    missing: dict[str, list[list[Any]]] = {}
    for axes in evaluation.missing() if evaluation.shared is None else ():  # of a run below a URL one worker fits all
        missing.setdefault(axes.fit.row_id, []).append(list(dataclasses.astuple(axes)))
    return told | {
        "fits": list(missing.values()),
        "embed": [_shards(one) for one in needed],
        "patches": _patches(evaluation),
        "controls": [asked.to_json() for asked in _controls(evaluation)],
        "bytes": len(evaluation.missing()) * 12 * len(evaluation.cells),
    }


def _shards(needed: Extraction) -> dict[str, Any]:
    """Return, of each shard, its name, its cells, and whether all of them are cached."""
    absent = needed.store.missing(needed.keys)
    return {
        "store": needed.store.folder.name,
        "row_bytes": 4 * needed.store.key.embed_dim + 32,
        "shards": [[shard_name(needed.keys[rows]), len(rows), not absent[rows].any()] for rows in shards(needed.plan)],
    }


def _patches(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return, of a training, a name for the patches that it needs, and what is absent of them."""
    if not evaluation.protocol.trains_network or not isinstance(evaluation.subject, RegisteredModel):
        return None
    assert evaluation.plan is not None
    from mitozoo.engine.network_fits import margin_share

    preprocessing = evaluation.subject.spec.preprocessing
    parts = [
        absent_patches(plan, preprocessing, margin_share=margin_share(evaluation.plan))
        for plan in (evaluation.plan, *(one.plan for one in evaluation.perturbed()))
    ]
    name = hashlib.sha256(" ".join(part[0] for part in parts).encode()).hexdigest()[:32]
    return {"name": name, "absent": sum(part[1] for part in parts), "bytes": sum(part[2] for part in parts)}


def _controls(evaluation: Evaluation) -> list[Asked]:
    """Return the runs of the controls that see the image, of which a plan makes runs of their own."""
    subject = evaluation.subject
    if not isinstance(subject, RegisteredModel) or not wants_image_controls(evaluation.request, subject):
        return []
    found: list[Asked] = []

    def note(request: Request, subject: RegisteredModel) -> Path:
        if isinstance(subject, UntrainedModel):
            from mitozoo.models.encoder import require_source  # of torch: only where a control asks for it

            require_source(subject.registered.spec)
        found.append(Asked(request, isinstance(subject, UntrainedModel)))
        return request.out

    patches_only = evaluation.cells.spec.patch_px is not None
    run_image_controls(evaluation.request, subject, evaluation.protocol, patches_only=patches_only, evaluate=note)
    return found
