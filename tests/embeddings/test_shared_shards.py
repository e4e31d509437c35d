"""Shards on shared storage: found by their rows, believed once they were checked, put right where they are broken."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mitozoo.embeddings import shared_shards
from mitozoo.embeddings.shard_files import Shard, shard_name
from mitozoo.embeddings.shared_shards import Marker, SharedShards
from mitozoo.embeddings.store import EmbeddingKey, EmbeddingStore
from mitozoo.shared import SharedFolder

if TYPE_CHECKING:
    from pathlib import Path

KEY = EmbeddingKey(model="tiny", fingerprint="f" * 64, weights_sha256="a" * 64, precision="fp32", embed_dim=3)


def shard(first: int, count: int = 5, embed_dim: int = 3) -> Shard:
    random = np.random.default_rng(first)
    rows = np.zeros((count, 16), dtype=np.uint8)
    rows[:, 0] = np.arange(first, first + count)
    vectors = random.normal(size=(count, embed_dim)).astype(np.float32)
    return Shard(rows, vectors, random.integers(256, size=(count, 16), dtype=np.uint8))


class Machine:
    """A store on a disk of its own, in front of what all machines share."""

    def __init__(self, folder: Path, shared: Path, key: EmbeddingKey = KEY) -> None:
        self.store, self.place, self.notes = EmbeddingStore(key, folder), SharedFolder(str(shared)), []

    def shards(self) -> SharedShards:
        return SharedShards(self.store, self.place, self.notes.append)

    def write(self, *made: Shard) -> None:
        for one in made:
            self.shards().put(self.store.write(one))

    def take(self, rows, *likely: Shard) -> list[str]:
        """Take what is missing; return the names of the shards that came."""
        before = set(self.store.paths())
        self.shards().take(rows, [shard_name(one.rows) for one in likely])
        return sorted(path.stem for path in set(self.store.paths()) - before)


@pytest.fixture
def machines(tmp_path) -> tuple[Machine, Machine]:
    return Machine(tmp_path / "one", tmp_path / "shared"), Machine(tmp_path / "other", tmp_path / "shared")


def there(tmp_path, kind: str) -> list[Path]:
    return sorted((tmp_path / "shared" / "embeddings").glob(f"*/*.{kind}"))


def test_another_machine_has_the_very_same_bytes(machines, tmp_path):
    one, other = machines
    one.write(shard(0), shard(100))
    asked = np.concatenate([shard(100).rows, shard(0).rows])
    assert other.take(asked) == sorted(map(shard_name, (shard(0).rows, shard(100).rows)))
    assert not other.store.missing(asked).any()
    assert np.array_equal(other.store.load(asked)[0], one.store.load(asked)[0])
    assert [path.read_bytes() for path in other.store.paths()] == [path.read_bytes() for path in one.store.paths()]
    assert other.take(asked) == []
    assert len(there(tmp_path, "json")) == len(there(tmp_path, "safetensors")) == 2


def test_only_what_is_needed_comes(machines, monkeypatch):
    one, other = machines
    one.write(shard(0), shard(100), shard(200))
    other.write(shard(100))
    assert other.take(shard(100).rows) == []
    assert other.take(np.concatenate([shard(100).rows, shard(202, 3).rows])) == [shard_name(shard(200).rows)]
    read = []
    read_many = SharedFolder.read_many
    monkeypatch.setattr(
        SharedFolder, "read_many", lambda self, paths, **how: read.extend(paths) or read_many(self, paths, **how)
    )
    assert other.take(shard(0).rows, shard(0)) == [shard_name(shard(0).rows)]
    assert len(read) == 1  # of the shard that would be computed; no other is looked at


def test_shards_that_overlap_are_not_all_fetched(machines):
    one, other = machines
    one.write(shard(0, 10), *(shard(first, 3) for first in range(0, 9, 3)))
    assert other.take(shard(0, 10).rows, shard(0, 10)) == [shard_name(shard(0, 10).rows)]


def test_a_stores_shards_are_its_own(machines, tmp_path):
    one, _ = machines
    one.write(shard(0))
    stranger = Machine(tmp_path / "stranger", tmp_path / "shared", dataclasses.replace(KEY, fingerprint="e" * 64))
    assert stranger.take(shard(0).rows) == []


def test_what_was_not_uploaded_is_uploaded_later(machines, tmp_path):
    one, other = machines
    one.store.write(shard(0))
    one.store.write(shard(100))
    one.shards().put_all(shard(0).rows)
    assert len(there(tmp_path, "json")) == 1  # what this call is about
    assert len(other.take(shard(0).rows)) == 1


def test_a_marker_is_the_last_thing_that_comes(machines, tmp_path, monkeypatch):
    class Cut(Exception):
        pass

    def cut(*_: object, **__: object) -> None:
        raise Cut

    one, other = machines
    with monkeypatch.context() as context:
        context.setattr(SharedFolder, "create", cut)
        with pytest.raises(Cut):
            one.write(shard(0))
    assert len(there(tmp_path, "safetensors")) == 1
    assert other.take(shard(0).rows) == []
    one.shards().put_all(shard(0).rows)
    assert len(other.take(shard(0).rows)) == 1


def test_the_first_machine_to_finish_is_the_one_that_is_believed(machines, tmp_path):
    """Two that compute the same at once, on devices that round differently."""
    one, other = machines
    late = other.shards()
    one.write(shard(0))
    near = dataclasses.replace(shard(0), embeddings=np.nextafter(shard(0).embeddings, 9, dtype=np.float32))
    late.put(other.store.write(near))
    third = Machine(tmp_path / "third", tmp_path / "shared")
    third.take(shard(0).rows)
    assert np.array_equal(third.store.load(shard(0).rows)[0], shard(0).embeddings)
    assert np.array_equal(other.store.load(shard(0).rows)[0], near.embeddings)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "flipped": lambda path, other: flip(path),
    "truncated": lambda path, other: path.write_bytes(path.read_bytes()[:-9]),
    "emptied": lambda path, other: path.write_bytes(b""),
    "removed": lambda path, other: path.unlink(),
    "another's": lambda path, other: path.write_bytes(other.read_bytes()),
}


@pytest.mark.parametrize("kind", ["safetensors", "json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_there_is_not_taken_and_is_put_right(kind, damage, machines, tmp_path):
    one, other = machines
    one.write(shard(0))
    [path] = there(tmp_path, kind)
    one.write(shard(100))
    DAMAGES[damage](path, next(one_more for one_more in there(tmp_path, kind) if one_more != path))
    assert other.take(shard(0).rows) == []
    assert list(other.store.folder.glob("*")) == []
    shards = other.shards()
    shards.take(shard(0).rows, [])
    shards.put(other.store.write(shard(0)))  # as an extraction does: looks, computes, uploads
    assert Machine(tmp_path / "third", tmp_path / "shared").take(shard(0).rows) == [shard_name(shard(0).rows)]


def lie(tmp_path, file: Path, rows) -> None:
    """Have a marker say of any file that it is the shard of these rows."""
    folder = tmp_path / "shared" / "embeddings" / EmbeddingStore(KEY, tmp_path).folder.name
    folder.mkdir(parents=True, exist_ok=True)
    content = file.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    (folder / f"{sha256}.safetensors").write_bytes(content)
    (folder / f"{shard_name(rows)}.json").write_bytes(Marker(sha256, len(content), rows).to_json())


def written_by(key: EmbeddingKey, folder: Path, made: Shard) -> Path:
    return EmbeddingStore(key, folder).write(made)


@pytest.mark.parametrize(
    "what", ["another model's", "other rows", "another width", "no shard", "too large", "a pickle", "not a number"]
)
def test_what_a_stranger_put_there_is_not_believed(what, machines, tmp_path):
    _, other = machines
    rows = shard(0).rows
    if what == "another model's":
        file = written_by(dataclasses.replace(KEY, fingerprint="e" * 64), tmp_path / "x", shard(0))
    elif what == "other rows":
        file = written_by(KEY, tmp_path / "x", shard(100))
    elif what == "another width":
        file = written_by(KEY, tmp_path / "x", shard(0, embed_dim=4))
    elif what == "not a number":
        made = shard(0)
        file = written_by(KEY, tmp_path / "x", dataclasses.replace(made, embeddings=made.embeddings * np.nan))
    else:
        file = tmp_path / "file"
        file.write_bytes({"a pickle": pickle.dumps(print), "no shard": bytes(99), "too large": bytes(9_000_000)}[what])
    lie(tmp_path, file, rows)
    assert other.take(rows) == []
    assert list(other.store.folder.glob("*")) == []
    assert "is damaged" in other.notes[0]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"7", b"\xff", b'{"rows": 7}',
     b'{"schema": "mitozoo-shard/1", "rows": "AAAA", "sha256": "", "bytes": 1}',
     b'{"schema": "mitozoo-shard/1", "rows": "", "sha256": "../../x", "bytes": 1}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_marker_is_as_good_as_none(content, machines, tmp_path):
    one, other = machines
    assert Marker.read(content) is None
    one.write(shard(0))
    [path] = there(tmp_path, "json")
    path.write_bytes(content)
    assert other.take(shard(0).rows) == []
    one.write(shard(0))  # whoever has it
    assert len(other.take(shard(0).rows)) == 1


def test_a_huge_marker_is_not_read(machines, tmp_path, monkeypatch):
    one, other = machines
    one.write(shard(0))
    monkeypatch.setattr(shared_shards, "MARKER_BYTES", 10)
    assert other.take(shard(0).rows) == []


def test_a_damaged_shard_here_is_not_uploaded(machines, tmp_path):
    one, _ = machines
    flip(one.store.write(shard(0)))
    one.shards().put_all(shard(0).rows)
    assert there(tmp_path, "*") == []
    assert one.store.missing(shard(0).rows).all()
