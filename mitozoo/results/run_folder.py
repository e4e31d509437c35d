"""A run's folder: rows are appended, nothing is deleted first, and the document is written last."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any

from mitozoo import leftovers, storage
from mitozoo.claims import CLAIMS, claimed
from mitozoo.errors import StorageError
from mitozoo.plugins.record import canonical_json
from mitozoo.results.row import Axes, ResultRow, read_fitted, read_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

RESULT, COMPUTE, ROWS, CHECKPOINTS = "result.json", "compute.json", "rows", "checkpoints"
SCHEMA = "mitozoo-result/1"


def run_id(identity: dict[str, Any]) -> str:
    """Return 64 hex digits that name a run: model, weights, cells and pixels, protocol, precision."""
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; a second one waits and then finds the rows done."""
        from filelock import FileLock

        lock = FileLock(self.path / ".lock")
        try:
            (self.path / ROWS).mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise StorageError(
                f"cannot write in the run folder {self.path}: {error.strerror or error}",
                hint="Point --out to a folder that you can write to.",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def has(self, axes: Axes) -> bool:
        """Tell whether a row is done."""
        return self._row_path(axes).is_file()

    def read(self, axes: Axes) -> tuple[ResultRow, dict[str, npt.NDArray[Any]]]:
        """Return a row that is done, and what its fit left behind."""
        return read_row(self._row_path(axes)), read_fitted(self._row_path(axes))

    def write_row(self, row: ResultRow) -> None:
        """Append a row."""
        row.write(self._row_path(row.axes))

    def rows(self) -> list[ResultRow]:
        """Read all rows, by fraction (largest first), fold, seed and perturbation."""
        found = [read_row(path) for path in self.row_files()]
        return sorted(found, key=_order)

    def row_files(self) -> list[Path]:
        """Return the files of all rows, sorted by name."""
        return sorted((self.path / ROWS).glob("fold*.safetensors"))

    def checkpoint(self, axes: Axes) -> Path:
        """Return where the training of a row keeps its state."""
        return self.path / CHECKPOINTS / f"{axes.row_id}.pt"

    def result(self) -> dict[str, Any] | None:
        """Return the result document, or None where the run has not come so far."""
        path = self.path / RESULT
        return read_document(path) if path.is_file() else None

    def holds(self, document: dict[str, Any]) -> bool:
        """Tell whether the folder's files are the recorded ones; a killed call may have appended rows since.

        Raises:
            StorageError: a row is not the one that the document records.
        """
        recorded: dict[str, str] = document["files"]
        present = [self.path / name for name in recorded if (self.path / name).is_file()]
        found = {
            path.relative_to(self.path).as_posix(): sha256
            for path, sha256 in zip(present, storage.content_ids(present), strict=True)
        }
        changed = [name for name, sha256 in found.items() if sha256 != recorded[name]]
        for name in changed:
            if name.startswith(f"{ROWS}/"):
                raise StorageError(
                    f"{self.path / name} is not the file that {RESULT} records: it is damaged, or was changed",
                    hint="Delete it and run the same command again; that row is then computed anew.",
                )
        rows = {f"{ROWS}/{path.name}" for path in self.row_files()}
        return not changed and found.keys() == recorded.keys() and rows <= found.keys()

    def write_json(self, name: str, document: dict[str, Any]) -> None:
        """Write a JSON file whole."""
        with storage.write_whole(self.path / name) as unfinished:
            unfinished.write_text(dump(document), encoding="utf-8")

    def append_compute(self, call: dict[str, Any]) -> None:
        """Add what one call cost to compute.json, the only file that differs between equal runs."""
        path = self.path / COMPUTE
        try:
            calls = json.loads(path.read_text(encoding="utf-8"))["calls"]
        except (OSError, ValueError, KeyError):  # none yet
            calls = []
        self.write_json(COMPUTE, {"calls": [*calls, call]})

    def clean(self) -> None:
        """Remove what killed processes left behind and no row needs any more."""
        with claimed(self.path, None) as nobody_fits:
            if not nobody_fits:  # a plan's task is at a row of it, and writes
                return
            for folder in (self.path, self.path / ROWS, self.path / CHECKPOINTS):
                leftovers.remove_from(folder)
            with contextlib.suppress(OSError):
                (self.path / CLAIMS).unlink()
        with contextlib.suppress(OSError):  # not empty: another row is in training
            (self.path / CHECKPOINTS).rmdir()

    def _row_path(self, axes: Axes) -> Path:
        return self.path / ROWS / f"{axes.row_id}.safetensors"


def _order(row: ResultRow) -> tuple[float, int, int, str]:
    return -row.axes.fraction, row.axes.fold, row.axes.seed, row.axes.perturbed


def dump(document: dict[str, Any]) -> str:
    """Return a document as JSON text: two documents that are equal have equal text."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_document(path: Path) -> dict[str, Any]:
    """Read a result document.

    Raises:
        StorageError: it is no JSON, or of a schema that this version does not know.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} is no result document: {error}") from error
    return parse_document(content, str(path))


def parse_document(content: bytes, where: str) -> dict[str, Any]:
    """Return what the bytes of a result document say.

    Raises:
        StorageError: they are no JSON, or of a schema that this version does not know.
    """
    try:
        document = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{where} is no result document: {error}") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise StorageError(f"{where} has schema {schema!r}; this version of mitozoo reads {SCHEMA}")
    return document
