"""Where files live, how they are written whole, and how their content is named."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mitozoo import leftovers
from mitozoo.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


def home() -> Path:
    """Return the folder of all caches: `MITOZOO_HOME`, else the platform's cache folder.

    Raises:
        StorageError: `MITOZOO_HOME` is a URL.
    """
    chosen = os.environ.get("MITOZOO_HOME")
    if chosen:
        if "://" in chosen:
            raise StorageError(
                f"MITOZOO_HOME is '{chosen}'; caches are mapped into memory and must lie in a folder",
                hint="Leave MITOZOO_HOME on a local disk and put the URL into MITOZOO_SHARED_CACHE.",
            )
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("mitozoo", appauthor=False))


@contextlib.contextmanager
def write_whole(path: Path, *, suffix: str | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it there once the body has ended without an error.

    The move is atomic and the bytes are flushed first, so whatever bears the final name is complete.

    Args:
        path: the file's final name.
        suffix: what the temporary name ends in; None: in the final one's, which some libraries choose a format by.
    """
    temporary = _temporary_beside(path, folder=False, suffix=suffix)
    try:
        with _writing(path, temporary):
            yield temporary
            _flush(temporary)
            temporary.replace(path)
            _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def write_folder_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; move it to `path` once filled. Whoever comes second keeps the first one's."""
    temporary = _temporary_beside(path, folder=True)
    try:
        with _writing(path, temporary):
            yield temporary
            flush_folder(temporary)
            try:
                temporary.rename(path)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # else another process did the same work first
                    raise
            _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def replace_folder_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; once filled, it takes the place of `path`, and what was there goes."""
    path = path.absolute()
    temporary = _temporary_beside(path, folder=True)
    former = temporary.with_name(f"{temporary.name}-former")
    try:
        with _writing(path, temporary):
            yield temporary
            flush_folder(temporary)
            if path.is_dir():
                path.rename(former)
            try:
                temporary.rename(path)
            except OSError:
                if former.is_dir():
                    former.rename(path)
                raise
            _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)


def flush_folder(folder: Path) -> None:
    """Have everything below a folder on the disk; asked for much at once, a disk answers together."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(_flush, folder.rglob("*")))


@contextlib.contextmanager
def _writing(path: Path, temporary: Path) -> Iterator[None]:
    """Turn a failure to write into a sentence; a body that cannot read some other file tells so itself."""
    try:
        yield
    except OSError as error:
        culprit = None if error.filename is None else str(error.filename)
        if culprit not in (None, str(path.parent)) and not culprit.startswith(str(temporary)):
            raise
        raise StorageError(f"cannot write {path}: {error.strerror or error}", hint=_write_hint(path, error)) from error


def require_free_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise `StorageError` before work starts if `needed` bytes do not fit where `folder` will lie."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise StorageError(
            f"{purpose} needs {_megabytes(needed)} in {folder}, but only {_megabytes(free)} are free",
            hint="Free some space, or point MITOZOO_HOME or --out to a larger disk.",
        )


def content_id(path: Path) -> str:
    """Return the sha256 of a file, hashed once as long as its path, size and times stay."""
    return content_ids([path])[0]


def content_ids(paths: Sequence[Path]) -> list[str]:
    """Return the sha256 of each file, hashed once as long as its path, size and times stay.

    Beside the time of modification, which anybody may set, a file system notes when a file was changed or renamed:
    files that swapped their names are hashed anew, whatever an archive or a clock that jumped made of their dates.
    """
    stamps = [_stamp(path) for path in paths]
    with _ContentMemo() as memo:
        known = memo.look_up(stamps)
        fresh = {stamp: _sha256(Path(stamp[0])) for stamp in dict.fromkeys(stamps) if stamp not in known}
        memo.remember(fresh)
    return [known.get(stamp) or fresh[stamp] for stamp in stamps]


def remember_content_ids(hashed: Mapping[Path, str]) -> None:
    """Note the sha256 of files that were hashed while they were written, so that they need not be read again."""
    with _ContentMemo() as memo:
        memo.remember({_stamp(path): sha256 for path, sha256 in hashed.items()})


Stamp = tuple[str, int, int, int]


class _ContentMemo:
    """A small SQLite file of known content ids; where the cache cannot be written, every file is hashed anew."""

    def __enter__(self) -> _ContentMemo:
        self._database: sqlite3.Connection | None = None
        with contextlib.suppress(OSError, sqlite3.Error):
            home().mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(home() / "content-ids.sqlite", timeout=30)
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS contents "
                "(path TEXT PRIMARY KEY, size INTEGER, modified INTEGER, changed INTEGER, sha256 TEXT)"
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()

    def look_up(self, stamps: Iterable[Stamp]) -> dict[Stamp, str]:
        if self._database is None:
            return {}
        found = {}
        with contextlib.suppress(sqlite3.Error):
            for stamp in set(stamps):
                query = "SELECT sha256 FROM contents WHERE path = ? AND size = ? AND modified = ? AND changed = ?"
                if row := self._database.execute(query, stamp).fetchone():
                    found[stamp] = row[0]
        return found

    def remember(self, fresh: dict[Stamp, str]) -> None:
        if self._database is None or not fresh:
            return
        with contextlib.suppress(sqlite3.Error), self._database:
            rows = [(*stamp, sha256) for stamp, sha256 in fresh.items()]
            self._database.executemany("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?, ?)", rows)


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    return str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error


def _temporary_beside(path: Path, *, folder: bool, suffix: str | None = None) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if folder:
            made = Path(tempfile.mkdtemp(prefix=leftovers.prefix(), dir=path.parent))
            made.chmod(0o755)  # as the files below: a cache may be shared
            return made
        ending = path.suffix if suffix is None else suffix
        handle, name = tempfile.mkstemp(prefix=leftovers.prefix(), suffix=ending, dir=path.parent)
    except OSError as error:
        raise StorageError(
            f"cannot write in {path.parent}: {error.strerror or error}", hint=_write_hint(path, error)
        ) from error
    os.close(handle)
    Path(name).chmod(0o644)
    return Path(name)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_hint(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {path.parent} is full: free some space, then run the same command again; nothing was lost."
    return "Point MITOZOO_HOME (caches) or --out (runs) to a folder that you can write to."


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
