"""Carry out a plan: many files at once, each under its name only when it is whole, and no file fetched twice."""

from __future__ import annotations

import contextlib
import shutil
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mitozoo import storage
from mitozoo.download.archives import Bounds, free_bytes, unpack
from mitozoo.download.manifest import Entry, Manifest
from mitozoo.download.plan import UNFINISHED, part_path
from mitozoo.download.transfer import StoppedError
from mitozoo.errors import DownloadError, MitozooError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mitozoo.download.partial import Partial
    from mitozoo.download.plan import Plan, Step
    from mitozoo.download.transfer import Downloader
    from mitozoo.plugins.remote_files import RemoteFile

LOCK = ".mitozoo-fetch.lock"


class Listener:
    """Hears what a fetch does; the command line's child of it draws bars."""

    def waiting(self, folder: Path) -> None:
        """Another process fetches into the same folder, and this one waits for it."""

    def asked(self, done: int, total: int) -> None:
        """So many of the files' sizes are known, which may take a while."""

    def came(self, count: int) -> None:
        """So many more bytes came; fewer than none where a file had to be begun again."""

    def done(self, file: RemoteFile) -> None:
        """A file is there, whole."""

    def failed(self, file: RemoteFile, error: MitozooError) -> None:
        """A file could not be fetched; the others go on."""


@contextlib.contextmanager
def locked(folder: Path, listener: Listener) -> Iterator[None]:
    """Let one process at a time fetch into a folder, which is made where it is not there."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            listener.waiting(folder)
            lock.acquire()
    except OSError as error:
        raise StorageError(
            f"cannot write in {folder}: {error.strerror or error}",
            hint="Point --data to a folder that you can write to.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def carry_out(plan: Plan, downloader: Downloader, listener: Listener, *, jobs: int = 4) -> None:
    """Fetch what is missing; the caller holds the folder's lock.

    A file that cannot be had does not keep the others from coming; a disk that cannot be written to stops all.

    Raises:
        StorageError: the disk is full, or cannot be written to.
        DownloadError: some files could not be fetched; says which, and the first reason.
    """
    plan.require_room()
    work = _Work(plan, downloader, listener)
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(work.fetch, step): step for step in plan.missing}
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            _raise_first(done)
        except BaseException:  # the disk, Ctrl-C, or a bug: what runs ends at its next chunk
            downloader.stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    with contextlib.suppress(OSError):  # files that could not be fetched may have left their beginnings
        (plan.folder / UNFINISHED).rmdir()
    if work.failures:
        first = work.failures[0]
        count = len(work.failures)
        if count == 1:
            raise first
        raise DownloadError(
            f"{count} of {len(plan.missing)} files could not be fetched; the first: {first.message}",
            hint="Run the same command again; what is here is kept.",
        ) from first


def _raise_first(done: set[Future[None]]) -> None:
    for future in done:
        if not future.cancelled() and (error := future.exception()) is not None:
            raise error


@dataclass
class _Work:
    """One plan on its way."""

    plan: Plan
    downloader: Downloader
    listener: Listener
    failures: list[DownloadError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.manifest = Manifest(self.plan.folder)

    def fetch(self, step: Step) -> None:
        if self.downloader.stopped.is_set():
            return
        file = step.file
        try:
            partial = self.downloader.fetch(file, part_path(self.plan.folder, file), self.listener.came)
            self._require_same_as_ever(file, partial)
            (self._unpack if file.archive else self._keep)(file, partial)
        except StoppedError:
            return
        except StorageError:  # no other file would find room either
            self.downloader.stopped.set()
            raise
        except DownloadError as error:
            how = "unpack it to" if file.archive else "put it at"
            hint = error.hint or f"Fetch it in a browser, {how} {self.plan.folder / file.path}, and run this again."
            told = error if error.hint else DownloadError(error.message, hint=hint)
            self.failures.append(told)
            self.listener.failed(file, told)
        else:
            self.listener.done(file)

    def _require_same_as_ever(self, file: RemoteFile, partial: Partial) -> None:
        before = self.manifest.get(file.path)
        if before is not None and before.sha256 != partial.sha256:
            self.listener.came(-partial.length)
            partial.discard()
            raise DownloadError(
                f"refused what {file.url} gives: its sha256 is {partial.sha256}, and when it was first fetched into "
                f"{self.plan.folder} it was {before.sha256}",
                hint="The published file was changed. To have the new one, fetch into another folder with --data.",
            )

    def _keep(self, file: RemoteFile, partial: Partial) -> None:
        """Record, then name: whatever bears the name is recorded; what is recorded and not there is fetched again."""
        target = self.plan.folder / file.path
        self.manifest.add(file.path, _entry(file, partial))
        partial.finish(target)
        storage.remember_content_ids({target: partial.sha256})

    def _unpack(self, file: RemoteFile, partial: Partial) -> None:
        target = self.plan.folder / file.path
        unfinished = partial.path.with_suffix(".unpacked")
        shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
        try:
            members = unpack(partial.path, file, unfinished, Bounds(free=free_bytes(self.plan.folder)))
            known = {name: (member.size, member.sha256) for name, member in members.items()}
            self.manifest.add(file.path, _entry(file, partial, known))
            with _writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.is_dir():
                    target.rmdir()  # an empty one; else the plan would not have come here
                storage.flush_folder(unfinished)
                unfinished.rename(target)
        except DownloadError:
            partial.discard()  # it is as it was published, and of no use
            raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        partial.discard()
        storage.remember_content_ids({target / name: sha256 for name, (_, sha256) in known.items()})


def _entry(file: RemoteFile, partial: Partial, members: dict[str, tuple[int, str]] | None = None) -> Entry:
    return Entry(file.url, partial.length, partial.md5, partial.sha256, partial.promise.etag, members or {})


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror or error}") from error
