"""Where a member of an archive belongs, going by a name that a stranger gave it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mitozoo.plugins.remote_files import RemoteFile

#: Names that Windows keeps for devices, whatever their ending.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[\\:*?"<>|]')
_LONGEST_BYTES = 255


class BadNameError(Exception):
    """A name that must not be written, and why, as the end of a sentence."""


def place_of(name: str, file: RemoteFile, depth: int) -> tuple[str, ...] | None:
    """Return the folders and the name of a member below the archive's own folder, None where it is not wanted.

    Args:
        name: as the archive has it, with forward slashes.
        file: says which of its members are wanted.
        depth: how many folders may lie in each other.

    Raises:
        BadNameError: it leads elsewhere, or means something else, or nothing, on another system.
    """
    if name.startswith("/"):
        raise BadNameError("has an absolute path")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise BadNameError("leads out of its folder")
    only = PurePosixPath(file.only).parts if file.only else ()
    wanted, parts = parts[file.strip :][: len(only)] == only, parts[file.strip + len(only) :]
    if not wanted or not parts or _is_litter(parts):
        return None
    if len(parts) > depth:
        raise BadNameError(f"lies more than {depth} folders deep")
    for part in parts:
        device = _DEVICES.fullmatch(part.partition(".")[0].rstrip())
        if device or _FORBIDDEN.search(part) or not part.isprintable() or part[-1] in " .":
            raise BadNameError("has a name that is none on every system")
        if len(part.encode()) > _LONGEST_BYTES:
            raise BadNameError("has a name that is too long")
    return parts


def _is_litter(parts: tuple[str, ...]) -> bool:
    """Tell whether a Mac left it behind."""
    return parts[0] == "__MACOSX" or parts[-1] == ".DS_Store" or parts[-1].startswith("._")


@dataclass
class Spellings:
    """The names that were taken, as a system sees them that ignores case and the ways to write an accent."""

    taken: dict[str, str] = field(default_factory=dict)

    def require_new(self, parts: tuple[str, ...], *, is_folder: bool) -> None:
        """Take a name and those of its folders. Raises `BadNameError` where some system takes it for another one."""
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            folder = depth < len(parts) or is_folder
            spelt = f"{'folder' if folder else 'file'} {path}"
            key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
            before = self.taken.get(key)
            if before is not None and (before != spelt or not folder):
                raise BadNameError(f"clashes with the {before} of the same archive")
            self.taken[key] = spelt
