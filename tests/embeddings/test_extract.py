"""Extraction: what changes a number is computed anew, what does not is found again, and kills lose little."""

from __future__ import annotations

import csv
import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from tiny_zoo import CELLS, copy_of

from mitozoo.data.cells import read_cells
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import plan_patches
from mitozoo.embeddings import embedder, reading, shards
from mitozoo.embeddings import store as store_module
from mitozoo.embeddings.forward import resamples
from mitozoo.embeddings.store import EmbeddingStore
from mitozoo.engine.embed import embed_with
from mitozoo.engine.progress import Progress
from mitozoo.engine.subject import RegisteredModel
from mitozoo.errors import ModelError, SlideError
from mitozoo.models.encoder import load_encoder
from mitozoo.models.preprocessing import normalise, resample
from mitozoo.plugins.registry import load_registry

EVERYTHING, NOTHING = CELLS, 0


def embed(data, model="steady", *, window_um=56.0, edge="reflect", precision="fp32", dataset="tiny", batch_size=16):
    """Embed a dataset's folder through the cache, and tell how many cells were computed."""
    found = load_registry().dataset(dataset).spec
    registered = RegisteredModel(load_registry().model(model))
    plan = plan_patches(read_cells(found, data), Geometry(window_um, edge), target_px=32)
    return embed_with(registered, plan, "cpu", precision, batch_size, Progress())


def rewrite_cells(data, change) -> None:
    path = data / "cells.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        change(row)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def swap_label(row) -> None:
    row["label"] = {"MF": "HN", "HN": "MF"}[row["label"]]


def change_one_pixel(path) -> None:
    import tifffile

    pixels = tifffile.imread(path)
    pixels[32, 32] ^= 255
    tifffile.imwrite(path, pixels, tile=(64, 64), photometric="rgb")


def test_embeddings_equal_a_bare_loop(zoo, own_home):
    """One cell after the other, without threads, batches or cache."""
    import torch

    spec = load_registry().model("steady").spec
    encoder = load_encoder(spec)
    plan = plan_patches(read_cells(load_registry().dataset("tiny").spec, zoo), Geometry(56.0, "reflect"), target_px=32)
    one_by_one = []
    for row in range(len(plan)):
        patch = np.array(resample(plan.read(row), spec.preprocessing))
        with torch.inference_mode():
            one_by_one.append(encoder(normalise(torch.from_numpy(patch)[None], spec.preprocessing)).numpy()[0])
    embedded = embed(zoo)
    np.testing.assert_allclose(embedded.vectors, one_by_one, rtol=1e-5, atol=1e-6)
    assert embedded.computed == EVERYTHING
    assert len(np.unique(embedded.pixels, axis=0)) == CELLS


@pytest.mark.parametrize("authors", [False, True])
def test_resampled_on_the_device_or_by_pil_the_cache_holds_the_same(authors, zoo, own_home, monkeypatch):
    """To the last bit, so that neither the cache's key nor its rows need say which it was; windows of several sides."""
    plan = plan_patches(
        read_cells(load_registry().dataset("tiny").spec, zoo), Geometry(56.0, "reflect", authors), target_px=32
    )
    plan = dataclasses.replace(plan, side_px=np.resize([56, 32, 41, 70], CELLS))
    model = RegisteredModel(load_registry().model("steady"))
    made = []
    for on_device in (False, True):
        monkeypatch.setattr(embedder, "resamples", lambda *_, there=on_device: there)
        monkeypatch.setenv("MITOZOO_HOME", str(own_home / str(on_device)))
        made.append(embed_with(model, plan, "cpu", "fp32", 16, Progress()))
    by_pil, by_device = made
    assert by_pil.computed == by_device.computed == EVERYTHING
    assert by_device.vectors.tobytes() == by_pil.vectors.tobytes()
    assert np.array_equal(by_device.pixels, by_pil.pixels)


def test_what_pil_did_not_resample_the_device_does_not_either(zoo):
    antialiased = load_registry().model("steady").spec.preprocessing
    assert resamples("cuda", antialiased)
    assert not resamples("cpu", antialiased)
    assert not resamples("cuda", dataclasses.replace(antialiased, antialias=False))


def test_the_second_time_nothing_is_loaded(zoo, own_home, loads):
    first = embed(zoo)
    assert loads() == 1
    again = embed(zoo)
    assert (again.computed, loads()) == (NOTHING, 1)
    assert again.vectors.tobytes() == first.vectors.tobytes()
    assert np.array_equal(again.pixels, first.pixels)


@pytest.mark.parametrize(
    "changed", [{"window_um": 40.0}, {"edge": "black"}, {"precision": "bf16"}, {"model": "shifted"}]
)
def test_what_changes_a_number_misses_the_cache(changed, zoo, own_home):
    first = embed(zoo)
    other = embed(zoo, **changed)
    assert other.computed == EVERYTHING
    assert changed == {"edge": "black"} or not np.array_equal(other.vectors, first.vectors)


def test_a_new_pipeline_misses_the_cache(zoo, own_home, monkeypatch):
    embed(zoo)
    monkeypatch.setattr(store_module, "PIPELINE_VERSION", store_module.PIPELINE_VERSION + 1)
    assert embed(zoo).computed == EVERYTHING


def test_other_weights_miss_the_cache(zoo, own_home, monkeypatch):
    embed(zoo)
    monkeypatch.setattr(RegisteredModel, "weights_sha256", "0" * 64)
    assert embed(zoo).computed == EVERYTHING


def test_changed_labels_and_splits_hit_the_cache(zoo, own_home, tmp_path, loads):
    first = embed(zoo)
    data = copy_of(zoo, tmp_path / "other")
    rewrite_cells(data, swap_label)
    swapped = embed(data, dataset="tiny-official")
    assert (swapped.computed, loads()) == (NOTHING, 1)
    assert np.array_equal(swapped.vectors, first.vectors)


def test_changed_pixels_and_places_miss_the_cache(zoo, own_home, tmp_path):
    first = embed(zoo)
    data = copy_of(zoo, tmp_path / "other")
    change_one_pixel(data / "slide-03.tif")
    changed = embed(data)
    differs = (changed.vectors != first.vectors).any(axis=1)
    assert changed.computed > 0
    assert np.flatnonzero(differs).tolist() == [3 * 12]
    assert np.array_equal((changed.pixels != first.pixels).any(axis=1), differs)

    def move(row) -> None:
        row["x"] = int(row["x"]) + (row["id"] == "cell-07-05")

    rewrite_cells(data, move)
    moved = embed(data)
    assert np.flatnonzero((moved.vectors != changed.vectors).any(axis=1)).tolist() == [7 * 12 + 5]


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_CELLS", 30)


def test_shards_hold_whole_files_in_reading_order(zoo, small_shards):
    plan = plan_patches(read_cells(load_registry().dataset("tiny").spec, zoo), Geometry(56.0, "reflect"), target_px=32)
    made = shards.shards(plan)
    assert [len(rows) for rows in made] == [24] * 7
    assert np.array_equal(np.concatenate(made), plan.reading_order())
    assert all(len(set(plan.file_index[rows])) == 2 for rows in made)


@pytest.fixture
def tiny_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_CELLS", 5)


def test_a_large_file_is_cut_into_shards(zoo, tiny_shards):
    plan = plan_patches(read_cells(load_registry().dataset("tiny").spec, zoo), Geometry(56.0, "reflect"), target_px=32)
    made = shards.shards(plan)
    assert max(map(len, made)) == 5
    assert np.array_equal(np.sort(np.concatenate(made)), np.arange(CELLS))


def test_killed_between_shards_it_resumes_to_the_same_bytes(zoo, own_home, small_shards, monkeypatch, tmp_path):
    class Killed(BaseException):
        pass

    write = EmbeddingStore.write
    written = []

    def write_three(self, shard) -> None:
        if len(written) == 3:
            raise Killed
        written.append(shard)
        write(self, shard)

    monkeypatch.setattr(EmbeddingStore, "write", write_three)
    with pytest.raises(Killed):
        embed(zoo)
    monkeypatch.setattr(EmbeddingStore, "write", write)
    resumed = embed(zoo)
    assert resumed.computed == 4 * 24
    files = {path.name: path.read_bytes() for path in (own_home / "embeddings").rglob("*.safetensors")}
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "undisturbed"))
    assert embed(zoo).vectors.tobytes() == resumed.vectors.tobytes()
    undisturbed = (tmp_path / "undisturbed" / "embeddings").rglob("*.safetensors")
    assert {path.name: path.read_bytes() for path in undisturbed} == files


def test_a_damaged_shard_is_computed_anew(zoo, own_home, small_shards):
    first = embed(zoo)
    paths = sorted((own_home / "embeddings").rglob("*.safetensors"))
    assert len(paths) == 7
    content = bytearray(paths[2].read_bytes())
    content[-100] ^= 1
    paths[2].write_bytes(content)
    paths[5].write_bytes(paths[5].read_bytes()[:300])
    again = embed(zoo)
    assert again.computed == 2 * 24
    assert again.vectors.tobytes() == first.vectors.tobytes()


FILL = """
import sys
from pathlib import Path
from test_extract import embed
print(embed(Path(sys.argv[1])).vectors.tobytes().hex())
"""


def test_two_processes_fill_one_cold_cache(zoo, zoo_site, own_home):
    path = os.pathsep.join([*map(str, (zoo_site, *[p for p in sys.path if "tests" in p]))])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", FILL, str(zoo)],
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    one, other = (process.communicate(timeout=120)[0].strip() for process in started)
    assert one
    assert one == other == embed(zoo).vectors.tobytes().hex()
    assert embed(zoo).computed == NOTHING


def test_no_number_is_told_with_cell_and_precision(zoo, own_home):
    with pytest.raises(ModelError, match=r"model 'nan' gives NaN or infinity for cell cell-00-\d\d in fp32") as caught:
        embed(zoo, model="nan")
    assert "--precision" not in str(caught.value)  # it is fp32 already
    with pytest.raises(ModelError, match="in bf16") as caught:
        embed(zoo, model="nan", precision="bf16")
    assert "--precision fp32" in str(caught.value)


def test_a_slide_that_goes_away_on_the_way(zoo, own_home, tmp_path, monkeypatch):
    data = copy_of(zoo, tmp_path / "other")
    forward = embedder.run_network

    def lose_a_slide(*arguments):
        (data / "slide-13.tif").unlink(missing_ok=True)
        return forward(*arguments)

    monkeypatch.setattr(embedder, "run_network", lose_a_slide)
    monkeypatch.setattr(reading, "READ_AHEAD", 1)
    with pytest.raises(SlideError, match=r"slide-13\.tif cannot be read"):
        embed(data, batch_size=8)


def test_reading_ahead_is_bounded_in_bytes(zoo, own_home, monkeypatch):
    plan = plan_patches(read_cells(load_registry().dataset("tiny").spec, zoo), Geometry(56.0, "reflect"), target_px=32)
    preprocessing = load_registry().model("steady").spec.preprocessing
    batches = np.split(np.arange(CELLS), 14)
    read: list[int] = []
    plan_read = type(plan).read
    monkeypatch.setattr(type(plan), "read", lambda self, row: read.append(row) or plan_read(self, row))
    for allowed, batches_read in ((10**9, 5), (12 * 32 * 32 * 3 * 2, 3), (1, 2)):
        monkeypatch.setattr(reading, "READ_AHEAD_BYTES", allowed)
        read.clear()
        view = reading.View(plan, preprocessing)
        stream = reading.read_ahead([(rows, [view]) for rows in batches])
        [(patches, _)] = next(stream)
        assert patches.shape == (12, 32, 32, 3)
        assert 12 <= len(read) <= batches_read * 12
        stream.close()


def test_keys_hold_all_that_a_model_is(zoo):
    """A field that can change a feature and is not in the fingerprint would be a wrong hit in the cache."""
    spec = load_registry().model("steady").spec
    for changed in (
        {"pooling": "mean", "prefix_tokens": 1},
        {"embed_dim": 8},
        {"preprocessing": dataclasses.replace(spec.preprocessing, antialias=False)},
    ):
        assert dataclasses.replace(spec, **changed).fingerprint() != spec.fingerprint()
