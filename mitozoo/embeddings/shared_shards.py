"""Embedding shards on storage that machines share: asked for before anything is computed, uploaded once it is."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo import storage
from mitozoo.embeddings.lookup import RowKeys, Wanted
from mitozoo.embeddings.shard_files import shard_name
from mitozoo.embeddings.store import OVERHEAD_BYTES
from mitozoo.shared import AT_ONCE, DamagedContentError, SharedFolder, shared_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mitozoo.embeddings.store import EmbeddingStore

MARKER_BYTES = 1_000_000  # of 1,024 row keys: some 22 kB
SCHEMA = "mitozoo-shard/1"


@dataclass(frozen=True)
class Marker:
    """What says that a shard lies on shared storage, whole: it is uploaded after it.

    Attributes:
        sha256: of the file, and its name there.
        size: its bytes.
        rows: (m, 16) the row keys that it holds.
    """

    sha256: str
    size: int
    rows: RowKeys

    def to_json(self) -> bytes:
        """Return the document."""
        rows = base64.b64encode(np.ascontiguousarray(self.rows).tobytes()).decode()
        return json.dumps({"schema": SCHEMA, "sha256": self.sha256, "bytes": self.size, "rows": rows}).encode()

    @classmethod
    def read(cls, content: bytes | None) -> Marker | None:
        """Return what a document says; None for one that is no marker, which is as good as none."""
        try:
            stated: dict[str, Any] = json.loads(content or b"")
            rows = np.frombuffer(base64.b64decode(stated["rows"], validate=True), dtype=np.uint8).reshape(-1, 16)
            sha256, size = stated["sha256"], stated["bytes"]
        except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
            return None
        known = stated.get("schema") == SCHEMA and isinstance(sha256, str) and isinstance(size, int)
        return cls(sha256, size, rows) if known and re.fullmatch("[0-9a-f]{64}", sha256) else None


class SharedShards:
    """The shards of one store as they lie on shared storage, in front of which the store stays on the local disk."""

    def __init__(self, store: EmbeddingStore, shared: SharedFolder, on_note: Callable[[str], None]) -> None:
        """List once what is there."""
        self.store, self.shared, self.on_note = store, shared, on_note
        self.folder = f"embeddings/{re.sub(r'[^A-Za-z0-9._-]', '-', store.folder.name)}"
        files = shared.files(self.folder)
        self._there = {
            name.removesuffix(".json"): size
            for name, size in files.items()
            if re.fullmatch(r"[0-9a-f]{32}\.json", name) and 0 < size <= MARKER_BYTES
        }
        self._damaged: set[str] = set()

    def take(self, rows: RowKeys, names: Sequence[str]) -> None:
        """Download the shards that hold any of these rows, as long as some are missing here.

        Args:
            rows: (n, 16) all that are wanted.
            names: of the shards that would be computed; they are looked at first, the others only where rows remain.
        """
        missing = self.store.missing(rows)
        if not missing.any():
            return
        wanted = Wanted(rows[missing])
        for name, marker in self._markers(names):
            if len(wanted.in_shard(marker.rows)[0]) and self._fetch(name, marker):
                wanted.found[wanted.in_shard(marker.rows)[1]] = True
            if wanted.found.all():
                return

    def put_all(self, rows: RowKeys) -> None:
        """Upload the shards here that hold any of these rows and are not there, such as after a cut connection."""
        for path in self.store.holding(rows):
            if path.stem not in self._there:
                self.put(path)

    def put(self, path: Path) -> None:
        """Upload a sound shard, and after it its marker if none exists; the first one stays."""
        if (rows := self.store.read_rows(path)) is None or not self.store.is_sound(path):
            return  # damaged here: thrown away, to be computed again
        name, again = shard_name(rows), path.stem in self._damaged
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self.shared.put(path, f"{self.folder}/{sha256}.safetensors", again=again)
        marker = Marker(sha256, path.stat().st_size, rows).to_json()
        at = f"{self.folder}/{name}.json"
        if again or (not self.shared.create(at, marker) and not self._is_whole(at)):
            self.shared.write(at, marker)
        self._there[name] = len(marker)
        self._damaged.discard(name)

    def _is_whole(self, at: str) -> bool:
        """Tell whether a marker that came first can be read; one that was torn is as good as none."""
        return Marker.read(self.shared.read(at, at_most=MARKER_BYTES)) is not None

    def _markers(self, names: Sequence[str]) -> Iterator[tuple[str, Marker]]:
        """Read markers, some at a time, first those of these names; never of a shard that lies here."""
        first = [name for name in dict.fromkeys(names) if name in self._there]
        here = {path.stem for path in self.store.paths()}
        others = sorted(self._there.keys() - set(first))
        for group in (first, others):
            asked = [name for name in group if name not in here]
            for start in range(0, len(asked), AT_ONCE):
                some = asked[start : start + AT_ONCE]
                paths = [f"{self.folder}/{name}.json" for name in some]
                for name, content in zip(some, self.shared.read_many(paths, at_most=MARKER_BYTES), strict=True):
                    if (marker := Marker.read(content)) is None or shard_name(marker.rows) != name:
                        self._damaged.add(name)
                    else:
                        yield name, marker

    def _fetch(self, name: str, marker: Marker) -> bool:
        """Copy a shard into the store, once it is what its marker and its own checksum say; tell whether it was."""
        path = self.store.folder / f"{name}.safetensors"
        most = len(marker.rows) * self.store.row_bytes + OVERHEAD_BYTES
        try:
            if marker.size > most:
                raise DamagedContentError
            with storage.write_whole(path) as unfinished:
                place = f"{self.folder}/{marker.sha256}.safetensors"
                self.shared.fetch(place, unfinished, sha256=marker.sha256, size=marker.size)
                if not self._is_the_stores(unfinished, marker):
                    raise DamagedContentError
        except DamagedContentError:
            self._damaged.add(name)
            self.on_note(f"the shard {name} in {self.shared.place} is damaged: its cells are embedded here")
            return False
        return True

    def _is_the_stores(self, path: Path, marker: Marker) -> bool:
        rows = self.store.read_rows(path)
        return rows is not None and np.array_equal(rows, marker.rows) and self.store.is_sound(path)


def share(store: EmbeddingStore, on_note: Callable[[str], None]) -> SharedShards | None:
    """Return what machines share of a store, where they share anything; of one that is not the cache, nothing."""
    shared = shared_cache() if store.is_the_cache else None
    return None if shared is None else SharedShards(store, shared, on_note)
