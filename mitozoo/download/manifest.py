"""What was fetched into a folder: a record beside the files by which they are verified ever after."""

from __future__ import annotations

import dataclasses
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mitozoo import storage
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.plugins.dataset_spec import DatasetSpec

NAME = ".mitozoo-files.json"
FORMAT = "mitozoo-files/1"
_LISTED = 3


@dataclass(frozen=True)
class Entry:
    """A file that was fetched: an archive with what it became, or a plain file.

    Attributes:
        url: where it came from.
        size: in bytes.
        md5: 32 hex digits.
        sha256: 64 hex digits.
        etag: what the server called it; empty: nothing.
        members: of an archive: path below its folder -> size and sha256.
    """

    url: str
    size: int
    md5: str
    sha256: str
    etag: str = ""
    members: dict[str, tuple[int, str]] = field(default_factory=dict)


class Manifest:
    """The record of one folder, safe to add to from many threads; who writes must hold the folder's lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._guard = threading.Lock()
        self._entries = _read(folder / NAME)

    def get(self, path: str) -> Entry | None:
        """Return what is known of the file or folder at that path."""
        return self._entries.get(path)

    def add(self, path: str, entry: Entry) -> None:
        """Note what lies, or is about to lie, at that path."""
        with self._guard:
            self._entries[path] = entry
            document = {
                "format": FORMAT,
                "files": {path: dataclasses.asdict(one) for path, one in sorted(self._entries.items())},
            }
            with storage.write_whole(self.folder / NAME) as unfinished:
                unfinished.write_text(json.dumps(document, indent=1), encoding="utf-8")

    def problem(self, path: str, *, contents: bool) -> str | None:
        """Return what is wrong with the recorded file or folder at that path, None where all is well.

        Args:
            path: as it was added.
            contents: whether to hash as well; files that have not changed since are hashed once.
        """
        entry = self._entries[path]
        expected = {path: (entry.size, entry.sha256)}
        if entry.members:
            expected = {f"{path}/{name}": known for name, known in entry.members.items()}
        missing = [name for name in expected if not (self.folder / name).is_file()]
        if missing:
            return f"{_listed(missing)} no longer in {self.folder}"
        other = [name for name, (size, _) in expected.items() if (self.folder / name).stat().st_size != size]
        if not other and contents:
            measured = storage.content_ids([self.folder / name for name in expected])
            known = [sha256 for _, sha256 in expected.values()]
            other = [name for name, now, then in zip(expected, measured, known, strict=True) if now != then]
        return f"{_listed(other)} not what was fetched into {self.folder}" if other else None


def require_unchanged(folder: Path, spec: DatasetSpec) -> None:
    """Raise `DataError` where a fetched file of a dataset is another one by now; of images, sizes alone are compared.

    Files that are missing are another matter: labels can be described without images.
    """
    if not (folder / NAME).is_file():
        return
    manifest = Manifest(folder)
    for file in spec.remote_files():
        if manifest.get(file.path) is None or not (folder / file.path).exists():
            continue
        if problem := manifest.problem(file.path, contents=file.holds == "labels"):
            raise DataError(
                problem,
                hint="Delete or move it, then type mitozoo fetch again. Labels of your own belong in another folder.",
            )


def _read(path: Path) -> dict[str, Entry]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {place: _entry(stated) for place, stated in document["files"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{path} cannot be read as the record of fetched files: {error}",
            hint="Delete it, and mitozoo fetch makes it anew from the files that are there.",
        ) from error


def _entry(stated: dict[str, Any]) -> Entry:
    members = {name: (int(size), str(sha256)) for name, (size, sha256) in stated.pop("members", {}).items()}
    return Entry(**stated, members=members)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more} {'is' if len(names) == 1 else 'are'}"
