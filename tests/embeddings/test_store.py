"""The embedding cache believes nothing that is not, byte for byte, what it wrote under that name."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitozoo.embeddings import store as store_module
from mitozoo.embeddings.lookup import HeldRows
from mitozoo.embeddings.shard_files import Shard
from mitozoo.embeddings.store import EmbeddingKey, EmbeddingStore, require_room
from mitozoo.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

KEY = EmbeddingKey(model="tiny", fingerprint="f" * 64, weights_sha256="a" * 64, precision="fp32", embed_dim=3)


def shard(first: int, count: int = 5) -> Shard:
    random = np.random.default_rng(first)
    rows = np.zeros((count, 16), dtype=np.uint8)
    rows[:, 0] = np.arange(first, first + count)
    vectors = random.normal(size=(count, KEY.embed_dim)).astype(np.float32)
    return Shard(rows, vectors, random.integers(256, size=(count, 16), dtype=np.uint8))


@pytest.fixture
def store(tmp_path) -> EmbeddingStore:
    return EmbeddingStore(KEY, tmp_path)


def test_rows_come_back_in_the_order_asked_for(store):
    one, other = shard(0), shard(100)
    store.write(one)
    store.write(other)
    asked = np.concatenate([other.rows[::-1], one.rows])
    vectors, pixels = store.load(asked)
    assert np.array_equal(vectors, np.concatenate([other.embeddings[::-1], one.embeddings]))
    assert np.array_equal(pixels, np.concatenate([other.pixels[::-1], one.pixels]))
    assert not store.missing(asked).any()
    assert store.missing(np.concatenate([one.rows, shard(50).rows])).tolist() == [False] * 5 + [True] * 5
    with pytest.raises(KeyError):
        store.load(shard(50).rows)


def test_a_cell_seen_twice_has_one_embedding(store):
    written = shard(0)
    store.write(written)
    twice = np.concatenate([written.rows, written.rows[:2]])
    vectors, _ = store.load(twice)
    assert np.array_equal(vectors[5:], written.embeddings[:2])


@pytest.mark.parametrize(
    "changed", [{"fingerprint": "e" * 64}, {"weights_sha256": "b" * 64}, {"precision": "bf16"}, {"embed_dim": 4}]
)
def test_whatever_changes_an_embedding_names_another_folder(changed, store):
    other = EmbeddingStore(dataclasses.replace(KEY, **changed), store.folder.parent)
    assert other.folder != store.folder
    store.write(shard(0))
    assert other.missing(shard(0).rows).all()


def test_a_new_pipeline_finds_nothing_of_the_old_one(store, monkeypatch):
    store.write(shard(0))
    monkeypatch.setattr(store_module, "PIPELINE_VERSION", store_module.PIPELINE_VERSION + 1)
    assert EmbeddingStore(KEY, store.folder.parent).missing(shard(0).rows).all()


def test_the_models_name_is_no_part_of_the_key():
    assert dataclasses.replace(KEY, model="other").digest() == KEY.digest()


def only_file(store: EmbeddingStore) -> Path:
    [path] = store.folder.iterdir()
    return path


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("kept", [0, 7, 8, 100, 0.5, -1])
def test_a_truncated_shard_is_thrown_away(kept, store):
    store.write(shard(0))
    path = only_file(store)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert store.missing(shard(0).rows).all()
    assert not path.exists()


def test_any_flipped_bit_is_noticed(store):
    """In the header, the row keys, the embeddings or the digests: nothing wrong ever comes back."""
    written = shard(0)
    store.write(written)
    path = only_file(store)
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        flip(path, at)
        fresh = EmbeddingStore(KEY, store.folder.parent)
        try:
            vectors, pixels = fresh.load(written.rows)
        except KeyError:
            assert not path.exists()
        else:  # a flip in padding, or in the name for people
            assert np.array_equal(vectors, written.embeddings)
            assert np.array_equal(pixels, written.pixels)
        path.write_bytes(whole)


def test_a_shard_of_another_model_is_not_believed(store):
    other = EmbeddingStore(dataclasses.replace(KEY, fingerprint="e" * 64), store.folder.parent)
    other.write(shard(0))
    store.folder.mkdir()
    moved = only_file(other).rename(store.folder / only_file(other).name)
    assert store.missing(shard(0).rows).all()
    assert not moved.exists()


def test_shards_that_swapped_their_names_still_tell_their_own_rows(store):
    store.write(shard(0))
    store.write(shard(100))
    one, other = sorted(store.folder.iterdir())
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    assert np.array_equal(store.load(shard(0).rows)[0], shard(0).embeddings)
    assert np.array_equal(store.load(shard(100).rows)[0], shard(100).embeddings)


def test_a_foreign_file_is_thrown_away(store):
    from safetensors.numpy import save_file

    store.folder.mkdir()
    path = store.folder / "foreign.safetensors"
    for metadata in (None, {"mitozoo": "no json"}, {"mitozoo": "7"}, {"mitozoo": f'{{"key": "{KEY.digest()}"}}'}):
        save_file({"rows": np.zeros((2, 3))}, path, metadata=metadata)
        assert EmbeddingStore(KEY, store.folder.parent).missing(shard(0).rows).all()
        assert not path.exists()


def test_an_unfinished_shard_is_no_shard(store):
    store.write(shard(0))
    path = only_file(store)
    path.rename(path.with_name(f".unfinished-{path.name}"))
    assert store.missing(shard(0).rows).all()


@pytest.fixture
def read_only(tmp_path):
    """Return a function that makes a folder read-only, for root too."""
    mounted = []

    def protect(folder: Path) -> None:
        if os.geteuid() != 0:
            folder.chmod(0o555)
            return
        for options in ("bind", "remount,bind,ro"):
            if subprocess.run(["mount", "-o", options, folder, folder], check=False).returncode:
                pytest.skip("NOT TESTED: a folder that root cannot write to needs a mount")
            mounted.append(folder)

    yield protect
    for folder in dict.fromkeys(mounted):
        subprocess.run(["umount", folder], check=True)


def test_a_read_only_cache_is_read_and_says_so_before_work_starts(store, read_only):
    store.write(shard(0))
    store.write(shard(100))
    flip(min(store.folder.iterdir()), -1)
    read_only(store.folder)
    assert sum(store.missing(first.rows).all() for first in (shard(0), shard(100))) == 0
    readable = []
    for first in (shard(0), shard(100)):
        try:
            store.load(first.rows)
            readable.append(True)
        except KeyError:
            readable.append(False)
            assert store.missing(first.rows).all()  # remembered, since it cannot be deleted
    assert sorted(readable) == [False, True]
    with pytest.raises(StorageError, match="the embedding cache cannot be written in") as caught:
        store.require_room(1)
    assert "MITOZOO_HOME" in str(caught.value)


def test_room_is_asked_for_before_work_starts(tmp_path):
    require_room(tmp_path / "new", 1000, "something")
    with pytest.raises(StorageError, match=r"something needs .* MB in .*, but only"):
        require_room(tmp_path, 10**18, "something")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="something cannot be written in"):
        require_room(tmp_path / "file", 1, "something")


def test_large_matrices_do_not_lie_in_anonymous_memory(store, monkeypatch):
    monkeypatch.setattr(store_module, "IN_MEMORY_BYTES", 10)
    written = shard(0)
    store.write(written)
    vectors, _ = store.load(written.rows)
    assert isinstance(vectors, np.memmap)
    assert np.array_equal(vectors, written.embeddings)
    assert len(list(store.folder.iterdir())) == 1


def test_lookups_agree_with_a_dictionary(store):
    """Keys asked for repeatedly, shards that overlap and hold a key twice, keys that differ in one byte anywhere."""
    random = np.random.default_rng(0)
    keys = np.zeros((40, 16), dtype=np.uint8)
    keys[np.arange(40), np.arange(40) % 16] = 1 + np.arange(40)
    known: dict[bytes, tuple[bytes, bytes]] = {}
    for _ in range(6):
        held = keys[random.integers(0, 30, size=12)]
        of_key = {key.tobytes(): random.normal(size=3).astype(np.float32) for key in held}
        for key, (vector, _) in known.items():
            of_key[key] = np.frombuffer(vector, dtype=np.float32)
        vectors = np.stack([of_key[key.tobytes()] for key in held])
        store.write(Shard(held, vectors, 255 - held))
        known |= {k.tobytes(): (v.tobytes(), (255 - k).tobytes()) for k, v in zip(held, vectors, strict=True)}
    asked = keys[random.integers(0, 40, size=200)]
    absent = [key.tobytes() not in known for key in asked]
    assert 0 < sum(absent) < 200
    assert store.missing(asked).tolist() == absent
    there = asked[~np.array(absent)]
    vectors, pixels = store.load(there)
    found = [(v.tobytes(), p.tobytes()) for v, p in zip(vectors, pixels, strict=True)]
    assert found == [known[key.tobytes()] for key in there]


def test_a_file_is_opened_once_however_often_others_rows_are_asked_for(store, monkeypatch):
    opened = []
    read_rows = EmbeddingStore.read_rows
    monkeypatch.setattr(EmbeddingStore, "read_rows", lambda self, path: opened.append(path) or read_rows(self, path))
    elsewhere = EmbeddingStore(KEY, store.folder.parent)  # another process
    for first in range(0, 100, 5):
        assert store.missing(shard(first).rows).all()
        elsewhere.write(shard(first))
    assert not store.missing(np.concatenate([shard(first).rows for first in range(0, 100, 5)])).any()
    assert sorted(opened) == store.paths()
    assert not store.holding(shard(200).rows)
    assert len(opened) == 20


def test_what_changes_after_a_look_is_seen_by_the_next(store):
    one, other = store.write(shard(0)), store.write(shard(100))
    asked = np.concatenate([shard(0).rows, shard(100).rows])
    assert not store.missing(asked).any()
    one.write_bytes(one.read_bytes()[:-1])
    assert store.missing(asked).tolist() == [True] * 5 + [False] * 5
    other.unlink()
    assert store.missing(asked).all()
    store.write(shard(0))
    assert store.missing(asked).tolist() == [False] * 5 + [True] * 5


def test_a_damaged_shard_that_was_believed_is_missing_once_it_was_loaded(store):
    """A flipped bit that leaves the file's time as it was: nothing but reading it tells."""
    path = store.write(shard(0))
    assert not store.missing(shard(0).rows).any()
    before = path.stat()
    flip(path, -1)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(KeyError):
        store.load(shard(0).rows)
    assert store.missing(shard(0).rows).all()


@given(
    added=st.lists(st.lists(st.binary(min_size=1, max_size=1), max_size=6), max_size=12),
    asked=st.lists(st.binary(min_size=1, max_size=1), max_size=9),
)
def test_a_growing_set_of_rows_is_a_set(added, asked):
    held = HeldRows()
    for part in added:
        held.add(as_rows(part))
    assert held.holds(as_rows(asked)).tolist() == [name in {one for part in added for one in part} for name in asked]


def as_rows(names: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(name * 16 for name in names), dtype=np.uint8).reshape(-1, 16)
