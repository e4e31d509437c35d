"""A file on its way: what came so far, what it was promised to become, and both of these across restarts."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
from typing import TYPE_CHECKING

from mitozoo import storage
from mitozoo.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

_READ_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Promise:
    """What an answer's headers said of the file.

    Attributes:
        url: the address that was asked.
        validator: a strong ETag or a date that names this very content; empty: the server gives none.
        etag: the ETag as it came.
        size: of the whole file, in bytes; None: not told.
        md5: told by the server; empty: not told.
        sha256: told by the server; empty: not told.
    """

    url: str
    validator: str = ""
    etag: str = ""
    size: int | None = None
    md5: str = ""
    sha256: str = ""


class Partial:
    """The bytes of a file that came so far, and their checksums.

    Attributes:
        path: where they lie; beside it, a small file holds the promise.
        promise: of the answer that they came from.
        length: how many there are.
        resumed: whether they came in more than one answer.
    """

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.resumed = False
        self.promise = self._remembered() or Promise(url)
        self.length = 0
        self._forget_bytes()
        if self.promise.url != url or not path.is_file():
            self.promise = Promise(url)
            self.discard()
            return
        with self._telling(), path.open("rb") as file:
            while chunk := file.read(_READ_BYTES):
                self._count(chunk)
        self.resumed = self.length > 0

    @property
    def md5(self) -> str:
        """Of the bytes that came so far, 32 hex digits."""
        return self._md5.hexdigest()

    @property
    def sha256(self) -> str:
        """Of the bytes that came so far, 64 hex digits."""
        return self._sha256.hexdigest()

    def begin(self, promise: Promise) -> None:
        """Note what the next bytes are promised to be, before the first of them is written."""
        if promise != self.promise:
            with self._telling():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with storage.write_whole(self._note) as unfinished:
                    unfinished.write_text(json.dumps(dataclasses.asdict(promise)), encoding="utf-8")
        self.promise = promise

    @contextlib.contextmanager
    def appending(self) -> Iterator[BinaryIO]:
        """Open the file for further bytes."""
        with self._telling():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("ab")
        try:
            yield file
        finally:
            with self._telling():
                file.close()

    def append(self, file: BinaryIO, chunk: bytes) -> None:
        """Write and count further bytes."""
        with self._telling():
            file.write(chunk)
        self._count(chunk)

    def discard(self) -> None:
        """Forget all bytes."""
        with self._telling():
            self.path.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)
        self.promise = Promise(self.promise.url)
        self.resumed = False
        self._forget_bytes()

    def finish(self, target: Path) -> None:
        """Give the file its name, once its bytes are on the disk."""
        with self._telling():
            self.path.touch()  # an empty file has had no first byte
            handle = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.path.replace(target)
            self._note.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def _remembered(self) -> Promise | None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            return Promise(**json.loads(self._note.read_text(encoding="utf-8")))
        return None  # whatever lies there belongs to nothing that is known

    def _forget_bytes(self) -> None:
        self.length = 0
        self._md5, self._sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()

    def _count(self, chunk: bytes) -> None:
        self.length += len(chunk)
        self._md5.update(chunk)
        self._sha256.update(chunk)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn a disk that cannot be written to into a sentence."""
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise StorageError(
                f"cannot write {self.path}: {error.strerror or error}",
                hint="The disk is full: free some space, then run the same command again; nothing was lost."
                if full
                else "Point --data to a folder that you can write to.",
            ) from error
