"""What a check found: PASS, WARN or FAIL, one line each, and what to do about it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mitozoo.errors import MitozooError

Status = Literal["PASS", "WARN", "FAIL"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        status: 'PASS', 'WARN' (works, or could not be checked here) or 'FAIL'.
        what: what was looked at, in a word or three.
        detail: what was found, in one line, with the numbers.
        mend: what to do about it; empty for 'PASS'.
        subject: of which model or dataset, where a report is about several.
    """

    status: Status
    what: str
    detail: str
    mend: str = ""
    subject: str = ""


def finding_of(error: MitozooError, what: str, status: Status = "FAIL", *, mend: str = "") -> Finding:
    """Return an error as a finding: its sentence, and its hint as the mend (else the one given)."""
    return Finding(status, what, " ".join(error.message.split()), " ".join((error.hint or mend).split()))


@dataclass(frozen=True)
class Report:
    """All findings about one thing; `str` gives them for people.

    Attributes:
        subject: a model, a plugin or this machine.
        findings: in the order in which they were looked at.
        seconds: what all checks took.
    """

    subject: str
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether nothing failed; warnings may stand."""
        return not self.having("FAIL")

    def having(self, status: Status) -> tuple[Finding, ...]:
        """Return the findings of one status."""
        return tuple(finding for finding in self.findings if finding.status == status)

    def lines(self) -> list[tuple[Status, str]]:
        """Return the status and the text of each finding, columns aligned; the mend is on a line of its own."""
        names = [f"{finding.subject}: {finding.what}".removeprefix(": ") for finding in self.findings]
        width = max(map(len, names), default=0)
        return [
            (
                finding.status,
                f"{name:<{width}}  {finding.detail}" + (f"\n      mend: {finding.mend}" * bool(finding.mend)),
            )
            for name, finding in zip(names, self.findings, strict=True)
        ]

    def summary(self) -> str:
        """Return one line: how many passed, warn and failed."""
        counts = ", ".join(f"{len(self.having(status))} {status}" for status in ("PASS", "WARN", "FAIL"))
        return f"{self.subject}: {counts}, in {self.seconds:.1f} s"

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        findings = [dataclasses.asdict(finding) for finding in self.findings]
        return {"subject": self.subject, "passed": self.passed, "seconds": round(self.seconds, 3), "findings": findings}

    def __str__(self) -> str:
        return "\n".join([*(f"{status}  {text}" for status, text in self.lines()), self.summary()])
