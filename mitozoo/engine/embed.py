"""Embed a dataset's cells with a registered model, through the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitozoo.embeddings.embedder import Extraction
from mitozoo.embeddings.extract import Embedded, embed, embed_missing
from mitozoo.embeddings.store import PIPELINE_VERSION, EmbeddingKey, EmbeddingStore, require_room
from mitozoo.embeddings.table import EmbeddingTable, require_suffix, write_embeddings
from mitozoo.engine.find_model import find_model
from mitozoo.engine.log import tell
from mitozoo.engine.request import Request
from mitozoo.engine.seen import see
from mitozoo.engine.subject import RegisteredModel
from mitozoo.models.devices import pick_device, resolve_precision
from mitozoo.protocols.presets import find_protocol
from mitozoo.protocols.spec import override

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mitozoo.data.patches import PatchPlan
    from mitozoo.engine.progress import Progress

BATCH_SIZE = {"cuda": 256, "mps": 64, "cpu": 32}
BYTES_OF_A_NAME = 100  # at most, on average, of a cell_id in a file of embeddings


def embed_dataset(
    model: str, dataset: str, output: Path, *, progress: Progress, crop_um: float | None = None, **asked: Any
) -> int:
    """Write a model's embeddings of a dataset to a file, and return their number.

    Args:
        model: name of a registered model, or its place (see `find_model`).
        dataset: name of a registered dataset.
        output: a .safetensors or .parquet file.
        progress: listens to what happens.
        crop_um: side of the window; None: the protocols' own.
        **asked: any further attribute of `Request`.
    """
    require_suffix(output)
    request = Request(model=model, dataset=dataset, crop_um=crop_um, **asked)
    subject = RegisteredModel(find_model(model), request.weights)
    protocol = override(find_protocol(request.protocol), request.settings)
    with progress.stage("cells"):
        seen = see(request, subject, protocol)
    cells, plan = seen.cells, seen.plan
    assert plan is not None
    require_room(output.parent, len(cells) * (4 * subject.spec.embed_dim + BYTES_OF_A_NAME), f"the file {output.name}")
    device = pick_device(request.device)
    precision = resolve_precision(subject.spec, request.precision, device, compiled=request.compiled)
    embedded = embed_with(subject, plan, device, precision, request.batch_size, progress, request.deterministic)
    provenance = {
        "model": subject.document(), "dataset": cells.spec.name, "dataset_fingerprint": seen.fingerprint,
        "cells_sha256": cells.sha256(), "window_um": plan.geometry.window_um, "edge": plan.geometry.edge,
        "precision": precision, "deterministic": request.deterministic, "pipeline_version": PIPELINE_VERSION,
    }  # fmt: skip
    write_embeddings(output, EmbeddingTable(cells.table["cell_id"].tolist(), embedded.vectors, provenance))
    return len(cells)


def embed_with(
    model: RegisteredModel,
    plan: PatchPlan,
    device: str,
    precision: str,
    batch_size: int | None,
    progress: Progress,
    deterministic: bool = False,
) -> Embedded:
    """Return the embeddings of a plan's cells, computing and keeping those that are not cached yet."""
    with progress.stage("embeddings") as advance:
        embedded = embed(
            plan, _store(model, plan, precision, deterministic), model.load, device=device,
            batch_size=cells_at_once(batch_size, device), on_progress=advance, on_note=progress.note,
        )  # fmt: skip
        _tell_embedded(model, plan, embedded.computed)
    return embedded


def embed_together(
    parts: Sequence[tuple[RegisteredModel, PatchPlan, str]],
    device: str,
    batch_size: int | None,
    progress: Progress,
    deterministic: bool = False,
) -> None:
    """Cache what several models miss of the same cells, reading a window that they share once.

    Args:
        parts: model, its windows and its precision.
        device: of all of them; it holds the networks together.
        batch_size: cells at once; None: by device.
        progress: listens to what happens.
        deterministic: allow only operations that give the same bytes each time.
    """
    extractions = [
        Extraction(plan, _store(model, plan, precision, deterministic), model.load) for model, plan, precision in parts
    ]
    with progress.stage("embeddings") as advance:
        computed = embed_missing(
            extractions, device=device, batch_size=cells_at_once(batch_size, device), on_progress=advance,
            on_note=progress.note,
        )  # fmt: skip
        for (model, plan, _), anew in zip(parts, computed, strict=True):
            _tell_embedded(model, plan, anew)


def _tell_embedded(model: RegisteredModel, plan: PatchPlan, anew: int) -> None:
    tell("embedded", f"{model.name}: {anew:,} of {len(plan):,} cells embedded anew", cells=anew, of=len(plan))


def _store(model: RegisteredModel, plan: PatchPlan, precision: str, deterministic: bool) -> EmbeddingStore:
    return EmbeddingStore(key_of(model, precision, deterministic), dataset=plan.cells.spec.name)


def key_of(model: RegisteredModel, precision: str, deterministic: bool = False) -> EmbeddingKey:
    """Return what a model's embeddings are kept under."""
    spec = model.spec
    return EmbeddingKey(model.name, spec.fingerprint(), model.weights_sha256, precision, spec.embed_dim, deterministic)


def cells_at_once(batch_size: int | None, device: str) -> int:
    """Return the size of a batch: the one asked for, else by device."""
    return batch_size or BATCH_SIZE[device.split(":")[0]]
