"""Batches are under way while earlier ones are computed, and what comes of them is what a plain loop gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_zoo import CELLS

from mitozoo.data.cells import read_cells
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import plan_patches
from mitozoo.embeddings import embedder, reading, shards
from mitozoo.embeddings.embedder import UNDER_WAY
from mitozoo.embeddings.extract import embed
from mitozoo.embeddings.forward import run_network
from mitozoo.embeddings.store import EmbeddingKey, EmbeddingStore
from mitozoo.models.encoder import load_encoder
from mitozoo.models.preprocessing import resample
from mitozoo.plugins.registry import load_registry

BATCH = 10


@pytest.fixture
def plan(zoo):
    cells = read_cells(load_registry().dataset("tiny").spec, zoo)
    return plan_patches(cells, Geometry(56.0, "reflect"), target_px=32)


@pytest.fixture
def store(tmp_path):
    return EmbeddingStore(EmbeddingKey("steady", "f", "w", "fp32", 16), tmp_path / "cache")


def loaded():
    return load_encoder(load_registry().model("steady").spec)


def batches_of(plan) -> list[np.ndarray]:
    return [rows[at : at + BATCH] for rows in shards.shards(plan) for at in range(0, len(rows), BATCH)]


def plain_loop(plan) -> np.ndarray:
    """One batch after the other: read, resampled, through the network, taken."""
    encoder = loaded()
    vectors = np.empty((CELLS, 16), dtype=np.float32)
    for rows in batches_of(plan):
        patches = np.stack([resample(plan.read(int(row)), encoder.spec.preprocessing) for row in rows])
        vectors[rows] = encoder.embed(torch.from_numpy(patches), "fp32", "cpu")
    return vectors


class Watched:
    """Runs the network, and notes which batch is started and which is waited for."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    def __call__(self, *arguments):
        number = sum(what == "started" for what, _ in self.events)
        wait = run_network(*arguments)
        self.events.append(("started", number))

        def watched():
            self.events.append(("taken", number))
            return wait()

        return watched


@pytest.fixture
def events(monkeypatch):
    watched = Watched()
    monkeypatch.setattr(embedder, "run_network", watched)
    return watched.events


def test_the_next_batches_are_under_way_and_the_bytes_are_those_of_a_plain_loop(plan, store, events, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_CELLS", 60)  # three shards: the network does not stop between them
    done = []
    found = embed(plan, store, loaded, device="cpu", batch_size=BATCH, on_progress=lambda at, of: done.append((at, of)))
    batches = len(batches_of(plan))
    assert UNDER_WAY == 2
    ahead = [("started", 0), ("started", 1)]
    ahead += [event for number in range(2, batches) for event in (("started", number), ("taken", number - 2))]
    assert events == [*ahead, ("taken", batches - 2), ("taken", batches - 1)]
    assert found.vectors.tobytes() == plain_loop(plan).tobytes()
    assert done[-1] == (CELLS, CELLS)
    assert len(done) == batches
    assert len(store.paths()) == len(shards.shards(plan)) == 3


@pytest.mark.parametrize("late", [False, True])
def test_memory_that_runs_out_at_any_time_loses_no_cell(plan, store, late, monkeypatch):
    """A device that holds four patches says so at once, or when the batches behind are under way already."""

    def small(encoder, patches, precision, device):
        def wait():
            if len(patches) > 4:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return run_network(encoder, patches, precision, device)()

        if not late and len(patches) > 4:
            wait()
        return wait

    monkeypatch.setattr(embedder, "run_network", small)
    told = []
    found = embed(plan, store, loaded, device="cpu", batch_size=BATCH, on_note=told.append)
    np.testing.assert_allclose(found.vectors, plain_loop(plan), rtol=1e-5, atol=1e-6)
    assert told == [
        "10 patches at once do not fit into memory: going on with 5",
        "5 patches at once do not fit into memory: going on with 2",
    ]


def test_whole_shards_under_way_are_kept_when_a_file_cannot_be_read(plan, store, monkeypatch):
    from mitozoo.errors import SlideError

    monkeypatch.setattr(shards, "SHARD_CELLS", 24)
    monkeypatch.setattr(reading, "READ_AHEAD", 1)
    order = plan.reading_order()
    plan_read = type(plan).read

    def read(self, row):
        if row == order[24 * 3]:  # the first cell of the fourth shard
            raise OSError("it is gone")
        return plan_read(self, row)

    monkeypatch.setattr(type(plan), "read", read)
    with pytest.raises(SlideError, match="it is gone"):
        embed(plan, store, loaded, device="cpu", batch_size=24)
    assert len(store.paths()) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_nothing_waits_for_the_gpu_before_embeddings_are_taken(plan):
    from mitozoo.embeddings.forward import bring
    from mitozoo.embeddings.reading import View
    from mitozoo.models.devices import place

    encoder = loaded()
    place(encoder, "cuda")
    view = View(plan, encoder.spec.preprocessing, whole=True)
    windows = [plan.read(row) for row in range(BATCH)]
    run_network(encoder, bring(windows, view, "cuda"), "bf16", "cuda")()  # what is made at first use
    torch.cuda.set_sync_debug_mode("error")
    try:
        waiting = [run_network(encoder, bring(windows, view, "cuda"), "bf16", "cuda") for _ in range(3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for wait in waiting:
        np.testing.assert_array_equal(wait(), waiting[0]())
