"""What a fetch would do: which files are there, which are missing, how much that is, and whether it fits the disk."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mitozoo import storage
from mitozoo.download.manifest import Manifest
from mitozoo.download.transfer import StoppedError
from mitozoo.errors import DataError, DownloadError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mitozoo.download.transfer import Downloader
    from mitozoo.plugins.remote_files import RemoteFile

#: Where bytes gather before they are a file: below the dataset's folder, so that a move is one step.
UNFINISHED = ".mitozoo-unfinished"


@dataclass(frozen=True)
class Step:
    """One file of a plan.

    Attributes:
        file: what belongs there.
        there: whether it needs no fetching.
        verified: whether what is there was shown to be the right file.
        size: in bytes, as declared or told by its server; None: not told.
        have: bytes that an earlier fetch brought already.
    """

    file: RemoteFile
    there: bool
    verified: bool = False
    size: int | None = None
    have: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        state = ("verified" if self.verified else "there") if self.there else "partial" if self.have else "missing"
        return {"path": self.file.path, "url": self.file.url, "state": state, "size": self.size, "have": self.have}


@dataclass(frozen=True)
class Plan:
    """All files of a dataset that were asked for, and the folder that they belong in."""

    folder: Path
    steps: tuple[Step, ...]

    @property
    def missing(self) -> tuple[Step, ...]:
        """What is to be fetched."""
        return tuple(step for step in self.steps if not step.there)

    @property
    def bytes_to_fetch(self) -> int:
        """Of all missing files whose size is known."""
        return sum(max(0, step.size - step.have) for step in self.missing if step.size is not None)

    @property
    def untold(self) -> int:
        """How many missing files have a size that nobody tells."""
        return sum(step.size is None for step in self.missing)

    @property
    def bytes_needed(self) -> int:
        """Room on the disk: what is fetched, and of each archive as much again for what it unpacks to."""
        unpacked = sum(step.size or 0 for step in self.missing if step.file.archive)
        return self.bytes_to_fetch + unpacked

    def with_sizes(self, sizes: Mapping[RemoteFile, int | None]) -> Plan:
        """Return the plan with sizes that were asked for earlier."""
        return Plan(self.folder, tuple(replace(step, size=sizes.get(step.file, step.size)) for step in self.steps))

    def require_room(self, published: int = 0) -> None:
        """Raise `StorageError` where the disk has none.

        Args:
            published: bytes of all files together, which count where those of some file are not told.
        """
        there = sum((self.folder / step.file.path).stat().st_size for step in self.steps if step.there)
        needed = max(self.bytes_needed, published - there) if self.untold else self.bytes_needed
        try:
            storage.require_free_space(self.folder, needed, "the fetch")
        except StorageError as error:
            raise StorageError(error.message, hint="Free some space, or point --data to a larger disk.") from error


def part_path(folder: Path, file: RemoteFile) -> Path:
    """Return where the bytes of a file gather; two files of one place and address share it."""
    key = hashlib.sha256(f"{file.path}\n{file.url}".encode()).hexdigest()[:20]
    return folder / UNFINISHED / f"{key}.part"


def make_plan(
    folder: Path,
    files: Sequence[RemoteFile],
    downloader: Downloader | None,
    *,
    jobs: int = 4,
    asked: Callable[[int, int], None] = lambda done, total: None,
) -> Plan:
    """Look at what is there, and ask for the sizes that nobody declared.

    Args:
        folder: of the dataset.
        files: what belongs there.
        downloader: asks the servers; None: nobody is asked.
        jobs: how many are asked at once.
        asked: told how many answers came, of how many.

    Raises:
        DataError: a file is there and is another one.
    """
    manifest = Manifest(folder)
    steps = [_step(folder, file, manifest) for file in files]
    if downloader is None:
        return Plan(folder, tuple(steps))
    asking = _Asking(downloader)
    with ThreadPoolExecutor(jobs) as pool:
        try:
            sizes = []
            for size in pool.map(asking.size, steps):
                sizes.append(size)
                asked(len(sizes), len(steps))
        except BaseException:
            downloader.stopped.set()
            raise
    told = [replace(step, size=size) for step, size in zip(steps, sizes, strict=True)]
    for step in told:
        _require_same_size(folder, step)
    return Plan(folder, tuple(told))


class _Asking:
    """Asks for sizes, until some were asked for in vain: then there is no use in waiting for the others."""

    MOST_IN_VAIN = 3

    def __init__(self, downloader: Downloader) -> None:
        self.downloader = downloader
        self.in_vain = 0

    def size(self, step: Step) -> int | None:
        known = step.size is not None or step.verified or (step.there and step.file.archive)
        if known or self.in_vain >= self.MOST_IN_VAIN:
            return step.size
        try:
            return self.downloader.size(step.file)
        except (DownloadError, StoppedError):  # the fetch itself will tell why
            self.in_vain += 1
            return None


def _step(folder: Path, file: RemoteFile, manifest: Manifest) -> Step:
    path, entry = folder / file.path, manifest.get(file.path)
    size = file.size if file.size is not None else entry.size if entry else None
    if not path.exists():
        part = part_path(folder, file)
        return Step(file, there=False, size=size, have=part.stat().st_size if part.is_file() else 0)
    if path.is_dir() != bool(file.archive):
        raise _differs(f"{path} is a folder" if path.is_dir() else f"{path} is a file, and should be a folder")
    if entry is not None:
        if file.sha256 and entry.sha256 != file.sha256:
            raise _differs(f"{path} is as it was fetched, and another version is published by now")
        if problem := manifest.problem(file.path, contents=True):
            raise _differs(problem)
        return Step(file, there=True, verified=True, size=size)
    if file.archive:
        return Step(file, there=any(path.iterdir()), size=size)
    if file.size is not None and path.stat().st_size != file.size:
        raise _differs(f"{path} has {path.stat().st_size:,} bytes, and {file.size:,} are published")
    for name, wanted in (("sha256", file.sha256), ("md5", file.md5)):
        if wanted:
            measured = storage.content_id(path) if name == "sha256" else md5_of(path)
            if measured != wanted:
                raise _differs(f"{path} has the {name} {measured}, and {wanted} is published")
            return Step(file, there=True, verified=True, size=size)
    return Step(file, there=True, size=size)


def md5_of(path: Path) -> str:
    """Return the md5 of a file, 32 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _require_same_size(folder: Path, step: Step) -> None:
    """Raise `DataError` where a file that nothing else is known of is larger or smaller than the one published."""
    path = folder / step.file.path
    if step.there and not step.verified and not step.file.archive and step.size is not None:
        measured = path.stat().st_size
        if measured != step.size:
            raise _differs(f"{path} has {measured:,} bytes, and {step.size:,} are published")


def _differs(problem: str) -> DataError:
    return DataError(
        f"what is there is not what would be fetched: {problem}",
        hint="Delete or move it, then run the same command again; or fetch into another folder with --data.",
    )
