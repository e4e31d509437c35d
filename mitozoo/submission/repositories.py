"""A repository of submissions: check what is new in it, keep a verdict of each, and set one up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitozoo import storage
from mitozoo.errors import DataError, MitozooError
from mitozoo.submission.bundle import SUBMISSION, open_bundle
from mitozoo.submission.check import check_submission, read_submission, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_NAME = 100
SUBMISSIONS, VERDICTS = "submissions", "verdicts"
#: Of a new repository: where each file belongs, and which of `repository/` it is.
TEMPLATE = {
    "README.md": "README.md",
    "requirements.txt": "requirements.txt",
    f"{SUBMISSIONS}/README.md": "submissions.md",
    f"{VERDICTS}/README.md": "verdicts.md",
    ".github/workflows/check.yml": "workflows/check.yml",
    ".github/workflows/publish.yml": "workflows/publish.yml",
}


@dataclass(frozen=True)
class Checked:
    """What became of one submission of a repository.

    Attributes:
        name: of its folder.
        level: of its verdict; '' where it was refused.
        refused: why; '' where it was not.
        kept: whether the verdict stood there already, from a check of the same files by the same version.
    """

    name: str
    level: str = ""
    refused: str = ""
    kept: bool = False


def check_all(submissions: Path, verdicts: Path) -> Iterator[Checked]:
    """Check each submission whose verdict is not there yet, write the verdicts, and yield what became of each.

    Of a submission that is refused, or gone, no verdict stays.

    Args:
        submissions: a folder with a folder for each submission.
        verdicts: a folder with NAME.json for each of them.

    Raises:
        DataError: there is no such folder.
    """
    if not submissions.is_dir():
        raise DataError(f"there is no folder {submissions}")
    verdicts.mkdir(parents=True, exist_ok=True)
    bundles = sorted(path for path in submissions.iterdir() if path.name != "README.md")
    names = {f"{bundle.name}.json" for bundle in bundles}
    for stale in (path for path in verdicts.glob("*.json") if path.name not in names):
        stale.unlink()
    for bundle in bundles:
        verdict = verdicts / f"{bundle.name}.json"
        try:
            if level := _standing(bundle, verdict):
                yield Checked(bundle.name, level, kept=True)
                continue
            _require_plain_name(bundle.name)
            found = check_submission(bundle, against=submissions)
            found.write(verdict)
            yield Checked(bundle.name, found.level)
        except MitozooError as error:
            verdict.unlink(missing_ok=True)
            yield Checked(bundle.name, refused=error.message)


def write_template(folder: Path) -> list[str]:
    """Write a new results repository, whole or not at all, and return the names of its files.

    Raises:
        MitozooError: the folder exists.
    """
    from importlib.metadata import version

    if folder.exists() or folder.is_symlink():
        raise MitozooError(f"{folder} exists, and nothing is overwritten", hint="Name a folder that is not there.")
    origin = files("mitozoo.submission") / "repository"
    with storage.write_folder_whole(folder) as unfinished:
        for name, source in TEMPLATE.items():
            text = origin.joinpath(*Path(source).parts).read_text(encoding="utf-8")
            (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
            (unfinished / name).write_text(text.replace("VERSION", version("mitozoo")), encoding="utf-8")
    return list(TEMPLATE)


def _standing(bundle: Path, verdict: Path) -> str:
    """Return the level of a verdict that this version gave for these very files; '' where there is none."""
    from importlib.metadata import version

    opened = open_bundle(bundle)  # so that nothing else is read than what a submission may hold
    try:
        known: dict[str, Any] = json.loads(verdict.read_text(encoding="utf-8"))
        same = known["submission_sha256"] == sha256_of(bundle / SUBMISSION) and known["mitozoo"] == version("mitozoo")
        level = str(known["level"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if same:
        read_submission(opened)
    return level if same else ""


def _require_plain_name(name: str) -> None:
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    if not (plain.isascii() and plain.isalnum() and name[0].isalnum() and len(name) <= LONGEST_NAME):
        raise DataError(f"the folder of a submission cannot be called {name!a}: letters, digits, '.', '_' and '-' only")
