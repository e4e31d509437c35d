"""Storage that machines share, by a folder or any fsspec URL: content under its sha256, and last what names it."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import logging
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitozoo import storage
from mitozoo.errors import MitozooError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VARIABLE = "MITOZOO_SHARED_CACHE"
AT_ONCE = 256  # small files that are asked for together
_LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)  # failures of this machine's own disk


class DamagedContentError(Exception):
    """What lies on shared storage is not what its name promises, or is not there."""


def is_url(place: str | Path) -> bool:
    """Tell whether a place is a URL and no path."""
    return "://" in str(place)


def shared_cache() -> SharedFolder | None:
    """Return the cache that machines share, where `MITOZOO_SHARED_CACHE` names one."""
    place = os.environ.get(VARIABLE)
    return SharedFolder(place) if place else None


class SharedFolder:
    """A folder on storage that machines share: a bucket, or a network disk; nothing there is ever deleted.

    Content lies under a name that holds its sha256, so that whoever uploads it last changes nothing, and is believed
    only after it was hashed on this machine. A small document that names it is written after it: until then it is not
    there. Credentials and endpoints are the storage library's own settings; an address never holds any.
    """

    def __init__(self, place: str) -> None:
        """Take a path or URL; nothing is reached before it is needed.

        Raises:
            StorageError: the address holds a password or further parameters.
        """
        if is_url(place) and (re.search(r"://[^/]*:[^/]*@", place) or re.search(r"[?#]|::", place)):
            raise StorageError(
                "an address of shared storage must hold neither password, parameters nor further addresses",
                hint="Give credentials by the storage library's own settings: see docs/shared-storage.md.",
            )
        self.place = place.rstrip("/") if is_url(place) else str(Path(place).expanduser().absolute())

    def folders(self) -> list[str]:
        """Return the names of the folders right below, sorted."""
        return sorted(name for name, entry in self._listed("").items() if entry["type"] == "directory")

    def files(self, folder: str) -> dict[str, int]:
        """Return the names of the files right below a folder, and their bytes."""
        return {n: int(entry["size"] or 0) for n, entry in self._listed(folder).items() if entry["type"] == "file"}

    def read(self, path: str, *, at_most: int) -> bytes | None:
        """Return a small file, None where there is none.

        Raises:
            StorageError: it is larger, or the storage cannot be reached.
        """
        return self.read_many([path], at_most=at_most)[0]

    def read_many(self, paths: Sequence[str], *, at_most: int) -> list[bytes | None]:
        """Return small files, asked for together; None for each that is not there.

        Raises:
            StorageError: one is larger, or the storage cannot be reached.
        """
        contents: list[bytes | None] = []
        with self._reaching("read"):
            for start in range(0, len(paths), AT_ONCE):
                asked = [self._at(path) for path in paths[start : start + AT_ONCE]]
                for answer in self._system.cat_ranges(asked, 0, at_most + 1, on_error="return"):
                    if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                        raise answer
                    contents.append(None if isinstance(answer, Exception) else bytes(answer))
        for path, content in zip(paths, contents, strict=True):
            if content is not None and len(content) > at_most:
                raise StorageError(f"{self.place}/{path} is larger than {at_most:,} bytes, which no such file is")
        return contents

    def fetch(self, path: str, into: Path, *, sha256: str, size: int) -> None:
        """Copy a file to this machine's disk, and hash it there.

        Raises:
            DamagedContentError: it is not there, or is not of this size and sha256.
            StorageError: the storage cannot be reached.
        """
        with self._reaching("read"):
            try:
                if self._system.info(self._at(path))["size"] != size:
                    raise DamagedContentError
                self._system.get_file(self._at(path), str(into))
            except FileNotFoundError as error:
                raise DamagedContentError from error
        with into.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise DamagedContentError

    def put(self, file: Path, path: str, *, again: bool = False) -> None:
        """Upload content under a name that holds its sha256, unless as many bytes lie there; `again`: all the same.

        Raises:
            StorageError: it cannot be written there, or this machine's own file cannot be read.
        """
        size = file.stat().st_size
        with self._reaching("write to"):
            if not again and self._bytes_of(path) == size:
                return
            if self._is_posix:
                with storage.write_whole(Path(self._at(path))) as unfinished:
                    shutil.copyfile(file, unfinished)
            else:
                self._system.put_file(str(file), self._at(path))

    def write(self, path: str, content: bytes) -> None:
        """Write a document, in place of one that lies there."""
        with self._reaching("write to"):
            self._write(path, content, mode="overwrite")

    def create(self, path: str, content: bytes) -> bool:
        """Write a document if none exists, and tell whether it was written.

        The storage itself decides who comes first where it can: S3 does.
        """
        with self._reaching("write to"):
            try:
                self._write(path, content, mode="create")
            except FileExistsError:
                return False
        return True

    def _write(self, path: str, content: bytes, *, mode: str) -> None:
        if not self._is_posix:
            self._system.pipe_file(self._at(path), content, mode=mode)
            return
        if mode == "create" and Path(self._at(path)).exists():
            raise FileExistsError(path)
        with storage.write_whole(Path(self._at(path))) as unfinished:
            unfinished.write_bytes(content)

    def _listed(self, folder: str) -> dict[str, dict[str, Any]]:
        with self._reaching("list"):
            try:
                entries = self._system.ls(self._at(folder), detail=True)
            except FileNotFoundError as error:
                if not self._is_posix and not self._system.exists(self._root.partition("/")[0]):
                    raise StorageError(f"{self.place} is in no bucket that exists", hint="Make it first.") from error
                return {}
        return {entry["name"].rstrip("/").rpartition("/")[2]: entry for entry in entries}

    def _bytes_of(self, path: str) -> int | None:
        try:
            return int(self._system.info(self._at(path))["size"])
        except FileNotFoundError:
            return None

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    @functools.cached_property
    def _opened(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        scheme = self.place.partition("://")[0]
        try:  # listings are asked for anew each time: other machines write there too
            system, root = url_to_fs(self.place, use_listings_cache=False)
        except ImportError as error:
            hint = 'pip install "mitozoo[s3]"' if scheme == "s3" else f"Install what fsspec needs for {scheme}://."
            raise StorageError(f"{self.place} cannot be reached: {error}", hint=hint) from error
        except ValueError as error:
            raise StorageError(f"{self.place} is no address that fsspec knows: {error}") from error
        logging.getLogger("asyncio").addFilter(_is_not_told_already)
        return system, root.rstrip("/")

    @property
    def _system(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    @property
    def _is_posix(self) -> bool:
        return "file" in ((self._system.protocol,) if isinstance(self._system.protocol, str) else self._system.protocol)

    @contextlib.contextmanager
    def _reaching(self, what: str) -> Iterator[None]:
        """Turn whatever a storage library raises into a sentence."""
        try:
            yield
        except (MitozooError, DamagedContentError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _LOCAL:
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise StorageError(
                f"cannot {what} {self.place}: {reason}",
                hint="Check address, network and credentials, then run the same command again: nothing was lost.",
            ) from error


def _is_not_told_already(record: logging.LogRecord) -> bool:
    """Tell whether a log record is other than aiohttp's afterthought about a request whose failure was raised."""
    error = record.exc_info[1] if record.exc_info else None
    return not type(error).__module__.startswith("aiohttp")
