"""What cells and windows came to, remembered for as long as no file changes that they were read from."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mitozoo import storage
from mitozoo.engine.identity import Digests
from mitozoo.engine.subject import RegisteredModel
from mitozoo.errors import StorageError
from mitozoo.plugins.record import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mitozoo.engine.question import Question
    from mitozoo.engine.seen import Seen

#: What no cell and no window depends on. Model and protocol stand apart, with what windows do depend on.
ASKED_OF_ROWS = (
    "model", "weights", "embeddings", "protocol", "fractions", "seeds", "folds", "split", "domain", "label_noise",
    "perturb", "device", "precision", "deterministic", "compiled", "batch_size", "controls", "out", "shared_runs",
    "test_on", "test_data",
)  # fmt: skip
OF_PROTOCOL = ("geometry", "window_um", "edge")
LIBRARIES = ("mitozoo", "numpy", "pandas", "pillow", "pyarrow", "openslide-python", "openslide-bin", "tifffile")
SETTLED_NS = 2_000_000_000  # the coarsest clock of a file system: a younger file may change and bear the same time


class Remembered:
    """The memory of one question, 'which cells, which windows?', in a small file of the cache folder.

    The question holds every record and setting that the answer depends on, and the code that answers; the answer names
    the files that it was read from, with their folders, and a digest of size and times of each.

    Not remembered are several datasets, since which cases they share depends on the records of all that are installed,
    cells that are read from whole folders or by a function of a plugin, and unreadable slides.
    """

    def __init__(self, asked: Question) -> None:
        [self._found, *more] = asked.data
        self.began = time.time_ns()
        self._path: Path | None = None
        if not isinstance(asked.subject, RegisteredModel) or more or asked.request.skip_unreadable:
            return
        question = {
            "asked": {name: value for name, value in vars(asked.request).items() if name not in ASKED_OF_ROWS},
            "preprocessing": asked.subject.spec.preprocessing.to_json(),
            "protocol": {name: getattr(asked.protocol, name) for name in OF_PROTOCOL},
            "dataset": self._found.spec.to_json(),
            "folder": self._found.folder.absolute(),
            "read by": _reading_code(),
        }
        text = json.dumps(question, sort_keys=True, default=str)
        self._path = storage.home() / "seen" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def recall(self) -> Digests | None:
        """Return the answer if it is known, and all files that it was read from are as they were."""
        if self._path is None:
            return None
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            digests = Digests(**kept["digests"] | {"notes": tuple(kept["digests"]["notes"])})
            return digests if _stamps(kept["files"])[0] == kept["stamps"] else None
        except (OSError, ValueError, TypeError, KeyError):  # never asked, or a file is gone: it is read anew
            return None

    def keep(self, digests: Digests, seen: Seen) -> None:
        """Remember an answer, unless a file is so young that it may change again within the same tick of a clock."""
        from mitozoo.data.annotations import label_files

        labels = label_files(self._found.spec, self._found.folder) if self._path else ()
        if self._path is None or not labels or seen.plan is None:
            return
        files = sorted(map(str, {*labels, *seen.plan.files}))
        files += sorted({*map(os.path.dirname, files), str(self._found.folder)})  # a file more may be read another time
        with contextlib.suppress(OSError, StorageError):  # only a memo
            stamps, latest = _stamps(files)
            if latest + SETTLED_NS < self.began:
                kept = {"digests": dataclasses.asdict(digests), "files": files, "stamps": stamps}
                with storage.write_whole(self._path) as unfinished:
                    unfinished.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")


def _stamps(files: Iterable[str]) -> tuple[str, int]:
    """Return a digest of number, size and times of each file or folder, and the latest time of all, ns since 1970."""
    digest, latest = hashlib.sha256(), 0
    for file in files:
        status = os.stat(file)  # noqa: PTH116 (of many thousand files; a Path costs more than its stat)
        digest.update(b"%d %d %d %d\n" % (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        latest = max(latest, status.st_mtime_ns, status.st_ctime_ns)
    return digest.hexdigest(), latest


@functools.cache
def _reading_code() -> str:
    """Return a digest of what reads cells and windows: versions, and for those who change mitozoo, its source files."""
    source = sorted(_python_files(Path(__file__).parents[1]))
    return hashlib.sha256(canonical_json([source, *map(version, LIBRARIES)]).encode()).hexdigest()


def _python_files(folder: Path | str) -> Iterator[tuple[str, int, int]]:
    """Yield path, size and time of change of each Python file below a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _python_files(entry.path)
            elif entry.name.endswith(".py"):
                status = entry.stat()
                yield entry.path, status.st_size, status.st_mtime_ns
