"""Unpack an archive that a stranger packed: nothing outside its folder, nothing but files, nothing without bounds."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import lzma
import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from mitozoo.errors import DownloadError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mitozoo.plugins.remote_files import RemoteFile

_CHUNK_BYTES = 1 << 20
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError)
#: Names that Windows keeps for devices, whatever their ending.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[\\:*?"<>|]')


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
    that differ by case alone, and bombs are refused, before the rest is looked at; what a Mac leaves behind is left out.

    Raises:
        DownloadError: the archive is damaged or must not be unpacked; the folder's content is then worth nothing.
    """
    unpacking = _Unpacking(archive, file, folder, bounds, archive.stat().st_size)
    walk = _zip_members if file.archive == "zip" else _tar_members
    try:
        folder.mkdir(parents=True)
        with contextlib.closing(walk(archive, unpacking.refuse)) as members:
            for name, is_folder, size, read in members:
                unpacking.take(name, is_folder, size, read)
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk, not the archive
            raise StorageError(
                f"cannot unpack {file.url} to {folder}: {error.strerror}",
                hint="Point --data to a disk with enough room, then run the same command again.",
            ) from error
        raise DownloadError(f"{file.url} cannot be unpacked: {error or type(error).__name__}") from error
    except (RuntimeError, UnicodeError, ValueError, OverflowError, MemoryError) as error:  # of a header that lies
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
    spelt: dict[str, str] = field(default_factory=dict)  # as a system that ignores case sees it -> as it is written

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
        parts = self._place(name)
        if parts is None:
            return
        self._require_one_spelling(name, parts, is_folder)
        if is_folder:
            return  # made when a file needs it
        self._require_room(name, size)
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, length = hashlib.sha256(), 0
        with read() as source, path.open("xb") as target:
            while chunk := source.read(_CHUNK_BYTES):
                length += len(chunk)
                self._require_room(name, length)
                digest.update(chunk)
                target.write(chunk)
        if length != size:
            raise self.refuse(name, f"has {length:,} bytes, and the archive says {size:,}")
        self.written += length
        self.files["/".join(parts)] = Member(length, digest.hexdigest())

    def _place(self, name: str) -> tuple[str, ...] | None:
        """Return where a member belongs, None where it is not wanted."""
        if name.startswith("/"):
            raise self.refuse(name, "has an absolute path")
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if ".." in parts:
            raise self.refuse(name, "leads out of its folder")
        parts = parts[self.file.strip :]
        only = PurePosixPath(self.file.only).parts if self.file.only else ()
        if parts[: len(only)] != only:
            return None
        parts = parts[len(only) :]
        if not parts or parts[0] == "__MACOSX" or parts[-1] == ".DS_Store" or parts[-1].startswith("._"):
            return None
        if len(parts) > self.bounds.depth:
            raise self.refuse(name, f"lies more than {self.bounds.depth} folders deep")
        for part in parts:
            if _FORBIDDEN.search(part) or not part.isprintable() or part[-1] in " ." or _DEVICES.fullmatch(_stem(part)):
                raise self.refuse(name, "has a name that is none on every system")
            if len(part.encode("utf-8", "surrogateescape")) > 255:
                raise self.refuse(name, "has a name that is too long")
        return parts

    def _require_one_spelling(self, name: str, parts: tuple[str, ...], is_folder: bool) -> None:
        """Refuse a name that another system takes for one that was there before."""
        for depth in range(1, len(parts) + 1):
            kind = "folder" if depth < len(parts) or is_folder else "file"
            spelt = f"{kind} {'/'.join(parts[:depth])}"
            key = unicodedata.normalize("NFC", "/".join(parts[:depth]).casefold())
            before = self.spelt.setdefault(key, spelt)
            if before != spelt or (kind == "file" and spelt.removeprefix("file ") in self.files):
                raise self.refuse(name, f"clashes with the {before} of the same archive")

    def _require_room(self, name: str, more: int) -> None:
        total = self.written + more
        if total > max(self.bounds.always, self.bounds.ratio * self.packed):
            raise self.refuse(name, f"makes {total:,} bytes of an archive of {self.packed:,}, which no real one does")
        if total > self.bounds.free:
            raise DownloadError(
                f"{self.file.url} does not fit the disk: it unpacks to {total:,} bytes or more, "
                f"and {self.bounds.free:,} are free",
                hint="Free some space, or point --data to a larger disk, then run the same command again.",
            )


def _stem(name: str) -> str:
    return name.split(".")[0].rstrip()


def _zip_members(
    path: Path, refuse: Callable[[str, str], DownloadError]
) -> Iterator[tuple[str, bool, int, Callable[[], IO[bytes]]]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise refuse(info.orig_filename, "is a link or a device")
            if info.flag_bits & 0x1:
                raise refuse(info.orig_filename, "is encrypted")
            # orig_filename: zipfile cuts a name at a NUL and, on Windows, turns backslashes, which hides both
            yield info.orig_filename, info.is_dir(), info.file_size, lambda info=info: archive.open(info)  # type: ignore[misc]


def _tar_members(
    path: Path, refuse: Callable[[str, str], DownloadError]
) -> Iterator[tuple[str, bool, int, Callable[[], IO[bytes]]]]:
    with _decompressed(path) as stream, tarfile.open(fileobj=_Sparing(stream), mode="r:") as archive:  # type: ignore[call-overload]
        for info in archive:
            archive.members.clear()  # else all of them stay in memory
            if not (info.isreg() or info.isdir()) or info.issparse():
                raise refuse(info.name, "is a link or a device")
            yield info.name, info.isdir(), info.size, lambda info=info: _opened(archive, info)


def _opened(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    opened = archive.extractfile(info)
    assert opened is not None  # it is a regular file
    return opened


@contextlib.contextmanager
def _decompressed(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        magic = file.read(6)
    openers: dict[bytes, Callable[[Path], IO[bytes]]] = {
        b"\x1f\x8b": lambda path: gzip.open(path),  # type: ignore[return-value]
        b"BZh": lambda path: bz2.open(path),  # type: ignore[return-value]
        b"\xfd7zXZ\x00": lambda path: lzma.open(path),  # type: ignore[return-value]
    }
    opener = next(
        (opener for start, opener in openers.items() if magic.startswith(start)), lambda path: path.open("rb")
    )
    with opener(path) as stream:
        yield stream


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
