"""Unpack an archive that a stranger packed: nothing outside its folder, nothing but files, nothing without bounds."""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import hashlib
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from mitozoo.download.member_names import BadNameError, Spellings, place_of
from mitozoo.errors import DownloadError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from mitozoo.plugins.remote_files import RemoteFile

_CHUNK_BYTES = 1 << 20
#: What the standard library raises for an archive that is cut, damaged, or lies in a header.
_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError,
    RuntimeError, UnicodeError, ValueError, OverflowError, MemoryError, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class Bounds:
    """What an archive may become at most.

    Attributes:
        files: how many.
        ratio: unpacked bytes for each packed one; images are packed already, so that real ones stay below 20.
        always: so many bytes are fine whatever the ratio.
        free: bytes that the disk has room for.
        depth: folders in each other.
    """

    files: int = 500_000
    ratio: float = 200.0
    always: int = 100_000_000
    free: int = 1 << 62
    depth: int = 32


@dataclass(frozen=True)
class Member:
    """A file that was unpacked: its size in bytes and its sha256."""

    size: int
    sha256: str


def free_bytes(folder: Path) -> int:
    """Return how much room the disk of a folder has."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return shutil.disk_usage(existing).free


def unpack(archive: Path, file: RemoteFile, folder: Path, bounds: Bounds) -> dict[str, Member]:
    """Unpack an archive into a folder that is not there yet; return its files by their paths below it.

    Links, devices, encrypted members, names that lead elsewhere or mean something else on another system, two names
    that differ by case alone, and bombs are refused; what a Mac leaves behind is left out.

    Raises:
        DownloadError: the archive is damaged or must not be unpacked; the folder's content is then worth nothing.
        StorageError: it does not fit the disk.
    """
    unpacking = _Unpacking(archive, file, folder, bounds, archive.stat().st_size)
    walk = _zip_members if file.archive == "zip" else _tar_members
    try:
        with unpacking.writing():
            folder.mkdir(parents=True)
        with contextlib.closing(walk(archive, unpacking.refuse)) as members:
            for member in members:
                unpacking.take(*member)
    except _DAMAGED as error:
        raise DownloadError(f"{file.url} cannot be unpacked: {error or type(error).__name__}") from error
    if not unpacking.files:
        below = f" below {file.only}" if file.only else ""
        raise DownloadError(f"{file.url} holds no files{below}", hint="The archive is another one than was expected.")
    return unpacking.files


@dataclass
class _Unpacking:
    """One archive on its way out: what was written so far, and under which names."""

    archive: Path
    file: RemoteFile
    folder: Path
    bounds: Bounds
    packed: int
    files: dict[str, Member] = field(default_factory=dict)
    written: int = 0
    seen: int = 0
    spellings: Spellings = field(default_factory=Spellings)

    def refuse(self, name: str, reason: str) -> DownloadError:
        shown = name if len(name) <= 120 else f"{name[:117]}..."
        return DownloadError(
            f"refused to unpack {self.file.url}: its member {shown!r} {reason}", hint="Nothing of it was kept."
        )

    def take(self, name: str, is_folder: bool, size: int, read: Callable[[], IO[bytes]]) -> None:
        """Write one member, if it is among those wanted."""
        self.seen += 1
        if self.seen > self.bounds.files:
            raise self.refuse(name, f"is one of more than {self.bounds.files:,}")
        try:
            parts = place_of(name, self.file, self.bounds.depth)
            if parts is None:
                return
            self.spellings.require_new(parts, is_folder=is_folder)
        except BadNameError as error:
            raise self.refuse(name, str(error)) from error
        if is_folder:
            return  # made when a file needs it
        self._require_room(name, size)
        path = self.folder.joinpath(*parts)
        digest, length = hashlib.sha256(), 0
        with self.writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            target = path.open("xb", buffering=0)
        with target, read() as source:
            while chunk := source.read(_CHUNK_BYTES):
                length += len(chunk)
                self._require_room(name, length)
                digest.update(chunk)
                with self.writing():
                    target.write(chunk)
        if length != size:
            raise self.refuse(name, f"has {length:,} bytes, and the archive says {size:,}")
        self.written += length
        self.files["/".join(parts)] = Member(length, digest.hexdigest())

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Tell a disk that cannot be written to from an archive that cannot be read."""
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"cannot unpack {self.file.url} to {self.folder}: {error.strerror or error}",
                hint="Free some space, or point --data to another disk, then run the same command again.",
            ) from error

    def _require_room(self, name: str, more: int) -> None:
        total = self.written + more
        if total > max(self.bounds.always, self.bounds.ratio * self.packed):
            raise self.refuse(name, f"makes {total:,} bytes of an archive of {self.packed:,}, which no real one does")
        if total > self.bounds.free:
            raise StorageError(
                f"{self.file.url} does not fit the disk: it unpacks to {total:,} bytes or more, "
                f"and {self.bounds.free:,} are free",
                hint="Free some space, or point --data to a larger disk, then run the same command again.",
            )


def _zip_members(
    path: Path, refuse: Callable[[str, str], DownloadError]
) -> Generator[tuple[str, bool, int, Callable[[], IO[bytes]]]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise refuse(info.orig_filename, "is a link or a device")
            if info.flag_bits & 0x1:
                raise refuse(info.orig_filename, "is encrypted")
            # orig_filename: zipfile cuts a name at a NUL and, on Windows, turns backslashes, which hides both
            is_folder = info.orig_filename.endswith("/")
            yield info.orig_filename, is_folder, info.file_size, functools.partial(archive.open, info)


def _tar_members(
    path: Path, refuse: Callable[[str, str], DownloadError]
) -> Generator[tuple[str, bool, int, Callable[[], IO[bytes]]]]:
    with _decompressed(path) as stream:
        sparing = _Sparing(stream)
        archive = tarfile.open(fileobj=sparing, mode="r:")  # type: ignore[call-overload]  # noqa: SIM115
        for info in archive:
            archive.members = []  # else all of them stay in memory
            if not (info.isreg() or info.isdir()) or info.issparse():
                raise refuse(info.name, "is a link or a device")
            yield info.name, info.isdir(), info.size, functools.partial(_opened, archive, info)
        sparing.drain()  # the checksum of a compressed stream lies at its end


def _opened(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    opened = archive.extractfile(info)
    assert opened is not None  # it is a regular file
    return opened


def _decompressed(path: Path) -> contextlib.AbstractContextManager[Any]:
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if magic.startswith(b"BZh"):
        return bz2.open(path)
    if magic.startswith(b"\xfd7zXZ\x00"):
        return lzma.open(path)
    return path.open("rb")


class _Sparing:
    """A stream that refuses to read much at once: a header that claims gigabytes would fill the memory."""

    MOST = 16 << 20

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable
        self.name = ""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self.MOST:
            raise tarfile.ReadError(f"a header of it claims {size:,} bytes")
        return self._stream.read(size)

    def drain(self) -> None:
        """Read what is left, which is padding."""
        left = 0
        while chunk := self._stream.read(_CHUNK_BYTES):
            left += len(chunk)
            if left > self.MOST:
                raise tarfile.ReadError("it goes on after its end")
