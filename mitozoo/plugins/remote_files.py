"""Where a dataset's files are fetched from, how large they are, and what tells that they are the right ones."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import urlsplit

from mitozoo.errors import SpecError
from mitozoo.plugins.record import Record, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Holds = Literal["labels", "images", "both"]
Archive = Literal["", "zip", "tar"]

#: Files and folders of mitozoo's own in a dataset's folder begin so; no dataset's file may.
RESERVED = ".mitozoo"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@record
class RemoteFile(Record):
    """One file of a dataset, and its address.

    What is not known here is recorded when the file is first fetched, and verified ever after.

    Attributes:
        url: https; plain http only where `sha256` says what must come, or from this machine.
        path: where it belongs below the dataset's folder; of an archive: the folder that it becomes.
        holds: 'labels', 'images', or 'both' (patches whose folders are their labels).
        size: in bytes; None: not known here.
        md5: as the archive publishes it; empty: not known here.
        sha256: empty: not known here.
        archive: 'zip', or 'tar' (of any compression), which is unpacked; empty: a plain file.
        strip: leading folders that are taken off the name of each of the archive's members.
        only: what then lies in this folder of the archive is unpacked, and nothing else; empty: everything.
    """

    url: str
    path: str
    holds: Holds
    size: int | None = None
    md5: str = ""
    sha256: str = ""
    archive: Archive = ""
    strip: int = 0
    only: str = ""

    def validate(self) -> None:
        """Refuse addresses, places and checksums that cannot be meant."""
        _require_address(self.url, pinned=bool(self.sha256))
        require_place("RemoteFile.path", self.path)
        _require_words(self.holds, self.archive)
        if self.only:
            require_place("RemoteFile.only", self.only)
        if (self.only or self.strip) and not self.archive:
            raise SpecError(f"RemoteFile '{self.path}' is no archive, so that `strip` and `only` mean nothing")
        if self.strip < 0 or (self.size is not None and self.size < 0):
            raise SpecError(f"RemoteFile '{self.path}': size and strip cannot be negative")
        for name, digits in (("md5", 32), ("sha256", 64)):
            if (value := getattr(self, name)) and not re.fullmatch(rf"[0-9a-f]{{{digits}}}", value):
                raise SpecError(f"RemoteFile '{self.path}': {name} must be {digits} lower-case hex digits")


@record
class RemoteFolder(Record):
    """Many files of a dataset whose addresses differ by one word each.

    Attributes:
        url: address with {id} in it.
        path: where each belongs below the dataset's folder, with {name} in it.
        holds: 'labels', 'images' or 'both'.
        ids: {name} -> {id} of each file.
    """

    url: str
    path: str
    holds: Holds
    ids: Mapping[str, str]

    def validate(self) -> None:
        """Refuse templates without their word, and what `RemoteFile` refuses."""
        for name, word in (("url", "{id}"), ("path", "{name}")):
            if word not in getattr(self, name):
                raise SpecError(f"RemoteFolder.{name} '{getattr(self, name)}' has no {word} in it")
        if not self.ids:
            raise SpecError(f"RemoteFolder '{self.path}' names no file")
        _require_address(self.url.replace("{id}", "1"), pinned=False)
        _require_words(self.holds, "")

    def files(self) -> tuple[RemoteFile, ...]:
        """Return one `RemoteFile` for each."""
        return tuple(
            RemoteFile(
                url=self.url.replace("{id}", key), path=self.path.replace("{name}", name), holds=self.holds
            )
            for name, key in self.ids.items()
        )  # fmt: skip


def every_file(declared: Iterable[RemoteFile | RemoteFolder]) -> tuple[RemoteFile, ...]:
    """Return each file on its own. Raises `SpecError` where two belong in one place."""
    files = tuple(file for one in declared for file in (one.files() if isinstance(one, RemoteFolder) else (one,)))
    places: set[str] = set()
    for file in files:
        if file.path.casefold() in places:
            raise SpecError(f"two remote files belong at {file.path}")
        places.add(file.path.casefold())
    return files


def require_place(what: str, path: str) -> None:
    """Raise `SpecError` unless a path is plain, relative and stays in its folder."""
    parts = PurePosixPath(path).parts
    if (
        not parts
        or PurePosixPath(path).as_posix() != path
        or path.startswith("/")
        or ".." in parts
        or re.search(r'[\\:*?"<>|\x00-\x1f]', path)
        or parts[0].startswith(RESERVED)
    ):
        raise SpecError(f"{what} '{path}' must be a plain relative path inside the dataset's folder")


def trusted(url: str, *, pinned: bool) -> bool:
    """Tell whether nobody on the way can change what an address gives, or it would be noticed."""
    parts = urlsplit(url)
    plain = parts.scheme == "http" and (pinned or parts.hostname in LOOPBACK)
    return bool(parts.hostname) and (parts.scheme == "https" or plain)


def _require_address(url: str, *, pinned: bool) -> None:
    try:
        fine = trusted(url, pinned=pinned) and url.isprintable() and " " not in url and urlsplit(url).port != 0
    except ValueError:  # a port that is no number
        fine = False
    if not fine:
        raise SpecError(f"remote files come by https, or by http where their sha256 is declared, not from '{url}'")


def _require_words(holds: str, archive: str) -> None:
    for name, value, words in (("holds", holds, Holds), ("archive", archive, Archive)):
        if value not in get_args(words):
            raise SpecError(f"a remote file's {name} is {value!r}; it must be one of {get_args(words)}")
