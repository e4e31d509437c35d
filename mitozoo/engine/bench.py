"""How fast a model embeds here: its whole extraction from a cold cache, and each stage by itself."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.embeddings.extract import embed
from mitozoo.embeddings.forward import bring, resamples, run_network
from mitozoo.embeddings.reading import View, read_window, reading_threads
from mitozoo.embeddings.shard_files import Shard
from mitozoo.embeddings.shards import shards
from mitozoo.embeddings.store import EmbeddingStore
from mitozoo.engine.cost import device_name, environment, peak_device_memory_mb, peak_memory_mb, threads
from mitozoo.engine.embed import cells_at_once, key_of
from mitozoo.engine.find_model import find_model
from mitozoo.engine.seen import see
from mitozoo.engine.subject import RegisteredModel
from mitozoo.errors import MitozooError
from mitozoo.models.determinism import deterministic
from mitozoo.models.heap import kept_memory
from mitozoo.protocols.presets import find_protocol
from mitozoo.protocols.spec import override

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mitozoo.data.patches import PatchPlan
    from mitozoo.engine.progress import Progress
    from mitozoo.engine.request import Request
    from mitozoo.models.encoder import Encoder

SCHEMA = "mitozoo-bench/1"
CELLS = 256  # where nobody says how many
STAGES = ("read", "preprocess", "forward", "write")
#: What two measurements must have in common for their ratios to say something about the code.
CONDITIONS = (
    "model", "dataset", "cells", "device_name", "threads", "precision", "deterministic", "batch_size",
)  # fmt: skip


def bench(request: Request, *, progress: Progress) -> dict[str, Any]:
    """Return how many patches a second a model embeds, in all and by stage, as plain JSON values.

    'whole' is the extraction as an evaluation runs it, stages overlapping, caches empty but for those of the operating
    system. Each stage is clocked by itself on the same batches, with the same threads.

    Args:
        request: model, dataset, device, precision, batch size; `limit` is the number of cells, 256 where it is None.
        progress: listens to what happens.

    Raises:
        MitozooError: the input is not right, or the network cannot be compiled.
    """
    from mitozoo.models.devices import pick_device, place, resolve_precision
    from mitozoo.models.matrix_peak import matrix_peak

    assert request.model is not None
    count = request.limit or CELLS
    subject = RegisteredModel(find_model(request.model), request.weights)
    device = pick_device(request.device)
    precision = resolve_precision(subject.spec, request.precision, device, compiled=request.compiled)
    with progress.stage("cells"):
        protocol = override(find_protocol(request.protocol), request.settings)
        plan = see(replace(request, limit=count), subject, protocol).plan
        assert plan is not None
        plan = plan.take(plan.reading_order()[:count])
    at_once = cells_at_once(request.batch_size, device)
    key = key_of(subject, precision, request.deterministic)
    encoder = subject.load()
    place(encoder, device)
    with tempfile.TemporaryDirectory() as folder:
        stores = [EmbeddingStore(key, Path(folder) / name) for name in ("warm", "whole", "stages")]
        first = plan.take(shards(plan)[0][:at_once])  # warms up all that is made at first use
        embed(first, stores[0], lambda: encoder, device=device, batch_size=at_once)
        start = time.perf_counter()
        with progress.stage("whole") as advance:
            embed(plan, stores[1], lambda: encoder, device=device, batch_size=at_once, on_progress=advance)
        seconds = {"whole": time.perf_counter() - start}
        memory, device_memory = peak_memory_mb(), peak_device_memory_mb(device)
        alike = deterministic(request.deterministic, f"model '{subject.name}'")
        with progress.stage("stages"), alike, kept_memory(device):
            seconds |= _by_stage(plan, encoder, stores[2], device, at_once)
    with progress.stage("matrix products"):
        peak = matrix_peak(device, precision)
    rates = {name: len(plan) / value for name, value in seconds.items()}
    reached = {} if encoder.flops is None else {n: encoder.flops * rates[n] / peak for n in ("whole", "forward")}
    return {
        "schema": SCHEMA, "created": datetime.now(UTC).isoformat(timespec="seconds"), "model": subject.name,
        "fingerprint": subject.spec.fingerprint(), "dataset": request.dataset, "cells": len(plan),
        "window_px": int(plan.side_px.max()), "input_px": subject.spec.preprocessing.size, "device": device,
        "device_name": device_name(device), "threads": threads(), "reading_threads": reading_threads(),
        "precision": precision, "deterministic": request.deterministic, "batch_size": at_once,
        "seconds": {name: round(value, 6) for name, value in seconds.items()},
        "patches_per_second": {name: round(value, 3) for name, value in rates.items()},
        "slowest": max(STAGES, key=lambda name: seconds[name]),
        "gflops": None if encoder.flops is None else encoder.flops / 1e9, "matrix_tflops": peak / 1e12,
        "flop_utilisation": {name: round(value, 6) for name, value in reached.items()},
        "peak_memory_mb": memory, "peak_device_memory_mb": device_memory, "environment": environment(),
    }  # fmt: skip


def _by_stage(plan: PatchPlan, encoder: Encoder, store: EmbeddingStore, device: str, at_once: int) -> dict[str, float]:
    """Run the stages one after the other, batch by batch, and return the seconds of each."""
    from mitozoo.models.matrix_peak import wait_for

    seconds = dict.fromkeys(STAGES, 0.0)
    keys, preprocessing = plan.row_keys(), encoder.spec.preprocessing
    view = View(plan, preprocessing, whole=resamples(device, preprocessing))

    @contextlib.contextmanager
    def clocked(stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        wait_for(device)
        seconds[stage] += time.perf_counter() - start

    with ThreadPoolExecutor(reading_threads()) as readers:
        for shard in shards(plan):
            vectors, digests = [], []
            for rows in np.split(shard, range(at_once, len(shard), at_once)):
                with clocked("read"):
                    read = list(readers.map(lambda row: read_window(plan, int(row)), rows))
                with clocked("preprocess"):
                    seen = list(readers.map(view.see, (window for window, _ in read)))
                    patches = bring(seen if view.whole else np.stack(seen), view, device)
                with clocked("forward"):
                    vectors.append(run_network(encoder, patches, store.key.precision, device)())
                digests += [digest for _, digest in read]
            with clocked("write"):
                store.write(Shard(keys[shard], np.concatenate(vectors), np.stack(digests)))
    return seconds


def read_measurement(file: Path) -> dict[str, Any]:
    """Return an earlier measurement.

    Raises:
        MitozooError: the file holds none.
    """
    hint = "Make one: mitozoo bench --model NAME --json > FILE"
    try:
        then = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MitozooError(f"{file} cannot be read as an earlier measurement: {error}", hint=hint) from error
    if not isinstance(then, dict) or then.get("schema") != SCHEMA:
        raise MitozooError(f"{file} holds no measurement of schema '{SCHEMA}'", hint=hint)
    return then


def compare(now: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    """Return ratios to an earlier measurement: above 1 is faster now, or takes more memory now.

    Returns:
        'created' of the earlier one, 'differs': the conditions that are not the same, and 'ratios' by name.
    """
    ratios = {name: now["patches_per_second"][name] / then["patches_per_second"][name] for name in ("whole", *STAGES)}
    for name in ("peak_memory_mb", "peak_device_memory_mb"):
        if now[name] and then[name]:
            ratios[name] = now[name] / then[name]
    return {
        "created": then["created"],
        "differs": [name for name in CONDITIONS if now[name] != then.get(name, False)],
        "ratios": {name: round(value, 4) for name, value in ratios.items()},
    }
