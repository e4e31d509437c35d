# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
"""Ask vulnerability services about every pinned dependency, and say plainly what could be asked and what could not.

pip-audit ends well and says "No known vulnerabilities found" also where it could ask nobody about any package. Here
what was not asked counts as not checked: exit code 0 where all was checked and nothing is known, 1 where something is
known, 3 where something could not be checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("pypi", "osv")
SECONDS = 600
SHOWN = 5
KNOWN, NOT_CHECKED = 1, 3


@dataclass
class Audit:
    """What services said so far.

    Attributes:
        checked: 'name version' of packages that a service knows.
        vulnerable: 'name version' -> ids of what is known about it.
        skipped: name of a package -> why a service could not tell.
        silent: service -> why it said nothing at all.
    """

    checked: set[str] = field(default_factory=set)
    vulnerable: dict[str, set[str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)

    def hear(self, report: dict[str, Any]) -> None:
        """Take in what one service reported, as pip-audit's JSON."""
        for package in report["dependencies"]:
            if "skip_reason" in package:
                self.skipped.setdefault(package["name"], package["skip_reason"])
                continue
            name = f"{package['name']} {package['version']}"
            self.checked.add(name)
            if ids := {one["id"] for one in package["vulns"]}:
                self.vulnerable.setdefault(name, set()).update(ids)

    def verdict(self, pinned: set[str]) -> tuple[list[str], int]:
        """Return lines for people and the exit code.

        Args:
            pinned: names of all packages that should have been checked.
        """
        unchecked = sorted(pinned - {name.partition(" ")[0] for name in self.checked})
        lines = [f"{name}: {', '.join(sorted(ids))}" for name, ids in sorted(self.vulnerable.items())]
        lines += [f"the service '{service}' could not be asked: {why}" for service, why in self.silent.items()]
        lines.append(f"{len(pinned) - len(unchecked)} of {len(pinned)} pinned packages were checked")
        if unchecked:
            why = self.skipped.get(unchecked[0], "no service answered")
            more = f" and {len(unchecked) - SHOWN} more" if len(unchecked) > SHOWN else ""
            lines.append(f"NOT CHECKED: {', '.join(unchecked[:SHOWN])}{more} ({why})")
        if self.vulnerable:
            return lines, KNOWN
        return lines, NOT_CHECKED if unchecked else 0


def names(constraints: str) -> set[str]:
    """Return the packages that a file of constraints pins, whatever their markers."""
    return {line.partition("==")[0].strip().lower() for line in constraints.splitlines() if "==" in line}


def ask(service: str, constraints: Path, uv: str) -> dict[str, Any]:
    """Return pip-audit's report by one service.

    Raises:
        RuntimeError: it made none.
    """
    command = [
        uv, "tool", "run", "--quiet", "pip-audit", "--vulnerability-service", service, "--requirement",
        str(constraints), "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(str(error)) from error
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RuntimeError(last.rpartition("Caused by ")[2].rstrip(")") or last) from error


def main(uv: str) -> int:
    """Ask every service about what constraints.txt pins."""
    constraints, audit = ROOT / "constraints.txt", Audit()
    for service in SERVICES:
        try:
            audit.hear(ask(service, constraints, uv))
        except RuntimeError as error:
            audit.silent[service] = str(error)
    lines, code = audit.verdict(names(constraints.read_text(encoding="utf-8")))
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else "uv"))
