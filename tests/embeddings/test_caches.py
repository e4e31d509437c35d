"""The caches: listed, pruned by age, model, dataset and size, never under a live process, and verified."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

from mitozoo import leftovers
from mitozoo.cli.cache import cache
from mitozoo.embeddings.caches import choose, damaged, list_caches, prune
from mitozoo.embeddings.holding import HELD_PREFIX, USED
from mitozoo.embeddings.shard_files import Shard
from mitozoo.embeddings.store import EmbeddingKey, EmbeddingStore

DAY = 86_400
HOLD = "from pathlib import Path; from mitozoo.embeddings.holding import hold; hold(Path({folder!r}))"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path))
    return tmp_path


def embed(model, dataset, cells, days_ago=0.0):
    """Write a shard of so many cells, as if so many days ago, and return its folder."""
    key = EmbeddingKey(model, "f" * 64, model * 8, "fp32", 4)
    store = EmbeddingStore(key, dataset=dataset)
    random = np.random.RandomState(cells)
    rows = random.randint(0, 256, (cells, 16)).astype(np.uint8)
    store.write(Shard(rows, random.normal(size=(cells, 4)).astype(np.float32), rows))
    moment = time.time() - days_ago * DAY
    (store.folder / USED).touch()
    os.utime(store.folder / USED, (moment, moment))
    return store.folder


def test_what_is_there_is_listed_with_size_and_last_use(home):
    old, new = embed("phikon", "ccmct", 100, days_ago=40), embed("uni", "cmc", 10)
    (home / "datasets" / "demo-v1").mkdir(parents=True)
    (home / "datasets" / "demo-v1" / "cells.csv").write_text("x" * 500)
    os.utime(home / "datasets" / "demo-v1", (1e9, 1e9))
    listed = list_caches()
    assert [(entry.kind, entry.path) for entry in listed[:2]] == [("embeddings", new), ("embeddings", old)]
    assert [entry.datasets for entry in listed] == [("cmc",), ("ccmct",), ()]
    assert listed[1].bytes == sum(file.stat().st_size for file in old.iterdir())
    assert listed[2].bytes == 500
    assert time.time() - listed[1].last_used == pytest.approx(40 * DAY, abs=60)


def test_age_model_dataset_and_size_choose(home):
    old, new = embed("phikon", "ccmct", 100, days_ago=40), embed("uni", "cmc", 10)
    entries = list_caches()
    paths = {
        name: [entry.path for entry in choose(entries, **asked)]
        for name, asked in {
            "age": {"days": 30}, "model": {"model": "uni"}, "dataset": {"dataset": "ccmct"},
            "all": {"to_bytes": 0}, "none": {"to_bytes": 10**9},
        }.items()
    }  # fmt: skip
    assert paths == {"age": [old], "model": [new], "dataset": [old], "all": [old, new], "none": []}
    assert [entry.path for entry in choose(entries, to_bytes=entries[0].bytes)] == [old]  # least used goes first
    freed = sum(entry.bytes for entry in choose(entries, days=30))
    assert prune(choose(entries, days=30)) == freed
    assert not old.exists()
    assert new.exists()


def test_what_a_live_process_holds_stays_and_what_a_killed_one_held_goes(home):
    folder = embed("phikon", "ccmct", 100, days_ago=40)
    code = HOLD.format(folder=str(folder)) + "; print(1, flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"MITOZOO_HOME": str(home)},
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert [entry.held for entry in list_caches()] == [True]
        assert choose(list_caches(), to_bytes=0) == []
    finally:
        process.kill()
        process.wait()
    assert [entry.held for entry in list_caches()] == [False]
    assert len(choose(list_caches(), to_bytes=0)) == 1
    assert not list(folder.glob(f"{HELD_PREFIX}*"))  # its marker was cleared away


def test_a_process_that_ends_lets_go(home):
    folder = embed("phikon", "ccmct", 1)
    code = HOLD.format(folder=str(folder))
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not list(folder.glob(f"{HELD_PREFIX}*"))


def test_leftovers_of_killed_processes_go(home):
    folder = embed("phikon", "ccmct", 1)
    torn, fresh = (folder / f"{leftovers.PREFIX}{name}" for name in ("torn", "fresh"))
    torn.write_bytes(b"x" * 1000)
    fresh.write_bytes(b"x")
    os.utime(torn, (1e9, 1e9))
    assert prune([]) == 1000
    assert not torn.exists()
    assert fresh.exists()  # it may be being written


def test_a_flipped_byte_is_found(home):
    folder = embed("phikon", "ccmct", 50)
    assert damaged(list_caches()) == []
    [shard] = folder.glob("*.safetensors")
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    assert damaged(list_caches()) == [shard]


def test_the_command(home):
    folder = embed("phikon", "ccmct", 100, days_ago=40)
    run = CliRunner().invoke
    listed = run(cache, [])
    assert "phikon" in listed.stdout
    assert "40 days ago" in listed.stdout
    assert "ccmct" in run(cache, ["--json"]).stdout
    assert run(cache, ["verify"]).exit_code == 0
    assert "would be freed" in run(cache, ["prune", "--older-than", "30", "--dry-run"]).stderr
    assert folder.exists()
    assert run(cache, ["prune", "--older-than", "30"]).exception is not None  # nobody is there to be asked
    assert run(cache, ["prune"]).exception is not None
    assert run(cache, ["prune", "--to-size", "many"]).exception is not None
    assert run(cache, ["prune", "--to-size", "1kB", "--yes"]).exit_code == 0
    assert not folder.exists()
