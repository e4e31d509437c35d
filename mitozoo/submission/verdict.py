"""What a check says of a submission: how far its numbers can be trusted, and what a careful reader should know."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from mitozoo import storage

if TYPE_CHECKING:
    from pathlib import Path

Level = Literal["self-reported", "arithmetic verified", "reproduced"]
VERDICT_VERSION = 1
LONGEST_FLAG, MOST_FLAGS = 400, 60


@dataclass
class Verdict:
    """What was found so far; nothing in it is an error, since an error is raised.

    Attributes:
        result_sha256: of the bytes of result.json.
        submission_sha256: of the bytes of submission.json, which lists the sha256 of all other files.
        checked: what was checked and holds, one line each.
        doubts: why the entry cannot be more than self-reported, one line each.
        remarks: what else a careful reader should know, one line each.
        re_run: whether embeddings and scores of a random sample were computed again, and agreed.
    """

    result_sha256: str
    submission_sha256: str
    checked: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    re_run: bool = False

    @property
    def level(self) -> Level:
        """How far the entry's numbers can be trusted."""
        if self.doubts:
            return "self-reported"
        return "reproduced" if self.re_run else "arithmetic verified"

    @property
    def flags(self) -> list[str]:
        """Doubts, then remarks, each once, as short and as few as a page can show."""
        return [flag[:LONGEST_FLAG] for flag in dict.fromkeys([*self.doubts, *self.remarks])][:MOST_FLAGS]

    def to_json(self) -> dict[str, Any]:
        """Return what a leaderboard reads."""
        from importlib.metadata import version

        return {
            "schema_version": VERDICT_VERSION,
            "result_sha256": self.result_sha256,
            "submission_sha256": self.submission_sha256,
            "level": self.level,
            "flags": self.flags,
            "mitozoo": version("mitozoo"),
            "checked_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def write(self, path: Path) -> None:
        """Write it as a JSON file, whole."""
        with storage.write_whole(path) as unfinished:
            unfinished.write_text(json.dumps(self.to_json(), indent=2) + "\n", encoding="utf-8")
