"""Runs below a URL that machines share: worked on in a local folder, their files there by content, documents last."""

from __future__ import annotations

import contextlib
import hashlib
import re
from typing import TYPE_CHECKING, Any

from mitozoo import storage
from mitozoo.errors import DataError, StorageError
from mitozoo.results.run_folder import COMPUTE, RESULT, ROWS, RunFolder, parse_document
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS
from mitozoo.shared import DamagedContentError, SharedFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

DOCUMENT_BYTES = 100_000_000
DOCUMENTS_AT_ONCE = 16
FILES, COPIES, DOCUMENTS = "files", ".copies", ".documents"
_ROW = re.compile(rf"{ROWS}/[A-Za-z0-9][A-Za-z0-9._=+-]*\.safetensors")
_SHA256 = re.compile("[0-9a-f]{64}")


def front_of(url: str) -> Path:
    """Return the local folder in which runs below a URL are worked on."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", url.rstrip("/"))[-40:].strip("-")
    return storage.home() / "shared-runs" / f"{name}-{hashlib.sha256(url.rstrip('/').encode()).hexdigest()[:8]}"


class SharedRuns:
    """All runs below one URL.

    Below NAME lie `files/SHA256`, `compute.json`, and `result.json`, which names the files and is written after them: a
    reader sees a run as it was or as it is, however often it grows, and never half of each.
    """

    def __init__(self, url: str, on_note: Callable[[str], None] = lambda text: None) -> None:
        """Take the URL; nothing is reached before it is needed."""
        self.shared, self.front, self.on_note = SharedFolder(url), front_of(url), on_note
        self._damaged: set[str] = set()  # sha256 of files there that are not what they must be

    def names(self) -> list[str]:
        """Return the names of all runs that were begun there, sorted."""
        return [name for name in self.shared.folders() if not name.startswith(".")]

    def document(self, name: str) -> tuple[bytes, dict[str, Any]] | None:
        """Return a run's result document, as its bytes and as what they say; None where there is none.

        Raises:
            StorageError: it is none, or names files that no run has.
        """
        content = self.shared.read(f"{name}/{RESULT}", at_most=DOCUMENT_BYTES)
        return None if content is None else (content, self._checked(name, content))

    def _checked(self, name: str, content: bytes) -> dict[str, Any]:
        where = f"{self.shared.place}/{name}/{RESULT}"
        document = parse_document(content, where)
        files = document.get("files")
        if not isinstance(files, dict) or not all(map(_is_a_runs, files.items())):
            raise StorageError(f"{where} names files that no run has")
        if not name.endswith(str(document.get("run_id"))[:12]):
            raise StorageError(f"{where} is the document of another run")
        return document

    def take(self, run: RunFolder) -> None:
        """Complete a local run, which the caller holds, with what lies there; a row that is here is never replaced."""
        found = self.take_rows(run)
        if found is None:
            return
        content, document = found
        names = sorted(document["files"])
        rows = {f"{ROWS}/{path.name}" for path in run.row_files()}
        fits = rows == {name for name in names if name.startswith(f"{ROWS}/")} and self._same(run.path, document, rows)
        if fits and self._fetch(run.path, document, names):
            _write(run.path / RESULT, content)

    def take_rows(self, run: RunFolder) -> tuple[bytes, dict[str, Any]] | None:
        """Fetch the rows of a run that are not here; return its document, None where not all of it could be had."""
        found = self.document(run.path.name)
        if found is not None:
            absent = [name for name in found[1]["files"] if not (run.path / name).exists()]
            if not self._fetch(run.path, found[1], [name for name in absent if name.startswith(f"{ROWS}/")]):
                return None
        return found

    def put(self, run: RunFolder) -> None:
        """Upload a finished run: its files, and last its document; nothing where all its rows lie there already."""
        ours = (run.path / RESULT).read_bytes()
        files: dict[str, str] = parse_document(ours, str(run.path / RESULT))["files"]
        name = run.path.name
        there = self.document(name)
        sizes = self.shared.files(f"{name}/{FILES}")
        if there is not None:
            theirs: dict[str, str] = there[1]["files"]
            larger = len(theirs) > len(files) and files.keys() <= theirs.keys()
            whole = set(theirs.values()) <= sizes.keys() - self._damaged
            if whole and (larger or there[0] == ours):
                return
        for file, sha256 in files.items():
            if sha256 in self._damaged or sizes.get(sha256) != (run.path / file).stat().st_size:
                self.shared.put(run.path / file, f"{name}/{FILES}/{sha256}", again=True)
        with contextlib.suppress(FileNotFoundError):
            self.shared.write(f"{name}/{COMPUTE}", (run.path / COMPUTE).read_bytes())
        self.shared.write(f"{name}/{RESULT}", ours)
        self._damaged -= set(files.values())

    def copy(self, name: str) -> Path:
        """Return a local folder with a finished run as it lies there, beside it those of its image controls.

        Raises:
            DataError: there is no finished run of this name.
            StorageError: a file of it is damaged.
        """
        names = self.names()
        found = self.document(name) if name in names else None
        if found is None:
            raise DataError(
                f"there is no finished run '{name}' in {self.shared.place}",
                hint=f"List those that are there: mitozoo runs --out {self.shared.place}",
            )
        folder = self._copy(name, *found)
        for control in _controls(found[1]):
            if control in names and (beside := self.document(control)) is not None:
                self._copy(control, *beside)
        return folder

    def copy_documents(self) -> list[Path]:
        """Return local folders, each with the document of a finished run as it lies there, sorted by name."""
        folders, names = [], self.names()
        for start in range(0, len(names), DOCUMENTS_AT_ONCE):
            some = names[start : start + DOCUMENTS_AT_ONCE]
            contents = self.shared.read_many([f"{name}/{RESULT}" for name in some], at_most=DOCUMENT_BYTES)
            for name, content in zip(some, contents, strict=True):
                if content is not None:
                    _write(self.front / DOCUMENTS / name / RESULT, content)
                    folders.append(self.front / DOCUMENTS / name)
        return folders

    def _copy(self, name: str, content: bytes, document: dict[str, Any]) -> Path:
        run = RunFolder(self.front / COPIES / name)
        with run.locked():
            for path in run.row_files():
                if f"{ROWS}/{path.name}" not in document["files"]:
                    path.unlink()
            if not self._fetch(run.path, document, sorted(document["files"])):
                raise StorageError(
                    f"the run in {self.shared.place}/{name} is damaged",
                    hint="Give the command that made it, with the same --out and an empty MITOZOO_HOME: it is mended.",
                )
            compute = self.shared.read(f"{name}/{COMPUTE}", at_most=DOCUMENT_BYTES)
            if compute is not None:
                _write(run.path / COMPUTE, compute)
            _write(run.path / RESULT, content)
        return run.path

    def _fetch(self, folder: Path, document: Mapping[str, Any], names: Iterable[str]) -> bool:
        """Copy those files that are not here as recorded; tell whether all of them could be had."""
        wanted = [name for name in names if not self._same(folder, document, [name])]
        if not wanted:
            return True
        sizes = self.shared.files(f"{folder.name}/{FILES}")
        recorded: dict[str, str] = document["files"]
        storage.require_free_space(folder, sum(sizes.get(recorded[name], 0) for name in wanted), "the run")
        for name in wanted:
            sha256 = recorded[name]
            try:
                if sha256 not in sizes:
                    raise DamagedContentError
                with storage.write_whole(folder / name) as unfinished:
                    at = f"{folder.name}/{FILES}/{sha256}"
                    self.shared.fetch(at, unfinished, sha256=sha256, size=sizes[sha256])
            except DamagedContentError:
                self._damaged.add(sha256)
                self.on_note(f"{name} of {folder.name} in {self.shared.place} is damaged, and is not taken from there")
        return not self._damaged & {recorded[name] for name in wanted}

    def _same(self, folder: Path, document: Mapping[str, Any], names: Iterable[str]) -> bool:
        """Tell whether all these files are here as recorded."""
        recorded: dict[str, str] = document["files"]
        paths = {name: folder / name for name in names}
        if not all(path.is_file() for path in paths.values()):
            return False
        return storage.content_ids(list(paths.values())) == [recorded[name] for name in paths]


def _is_a_runs(file: tuple[Any, Any]) -> bool:
    name, sha256 = file
    known = name in (CELLS, SPLITS, PREDICTIONS) or _ROW.fullmatch(name) is not None
    return known and isinstance(sha256, str) and _SHA256.fullmatch(sha256) is not None


def _controls(document: Mapping[str, Any]) -> list[str]:
    controls = document.get("image_controls") or {}
    return [entry["run"] for entry in controls.values() if isinstance(entry.get("run"), str)]


def _write(path: Path, content: bytes) -> None:
    with storage.write_whole(path) as unfinished:
        unfinished.write_bytes(content)
