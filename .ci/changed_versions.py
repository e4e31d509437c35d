# /// script
# requires-python = ">=3.11"
# dependencies = ["packaging"]
# ///
"""Print, as JSON for a workflow's matrix, which distributions bear a version that has no tag yet, the core first."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Distribution:
    """One distribution of this repository, at the version that its pyproject.toml states."""

    name: str
    version: str
    tag: str


def distributions(root: Path = ROOT) -> list[Distribution]:
    """Return the core, then the plugins by name: a plugin may need what the core offers since this very version."""
    found = []
    for file in [root / "pyproject.toml", *sorted((root / "plugins").glob("*/pyproject.toml"))]:
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        name, version = project["name"], project["version"]
        found.append(Distribution(name, version, f"{name}-v{version}"))
    return found


def due(candidates: Iterable[Distribution], tags: Collection[str]) -> list[Distribution]:
    """Return those whose version has no tag.

    Raises:
        ValueError: a version is not above the newest one released.
    """
    unreleased = []
    for one in candidates:
        prefix = f"{one.name}-v"
        released = [Version(tag.removeprefix(prefix)) for tag in tags if tag.startswith(prefix)]
        if Version(one.version) in released:
            continue
        if released and Version(one.version) < max(released):
            raise ValueError(f"{one.name} is at {one.version}, but {max(released)} is released: raise its version")
        unreleased.append(one)
    return unreleased


def main() -> int:
    """Compare the working tree with the repository's tags."""
    tags = subprocess.run(["git", "tag", "--list"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    try:
        found = due(distributions(), tags)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps([asdict(one) for one in found]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
