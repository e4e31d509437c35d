"""What all benchmarks share: what they find is said, and with --record it becomes a row of docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

TABLE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
LIBRARIES = ("torch", "timm", "numpy", "pandas", "scikit-learn", "pillow", "openslide-python", "orjson", "ray")
MODULES = {
    "scikit-learn": "sklearn",
    "pillow": "PIL",
    "openslide-python": "openslide",
}  # where they are named otherwise

_said: list[str] = []


def arguments(text: str) -> argparse.ArgumentParser:
    """Return a parser that shows a script's docstring as it stands and knows --record."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="append what is found to docs/benchmarks.md")
    return parser


def say(text: str) -> None:
    """Print a finding, and remember it for the row."""
    print(text, flush=True)
    _said.append(text)


def skip(reason: str) -> NoReturn:
    """Say in one line why nothing is measured, which is no failure."""
    print(f"not measured: {reason}")
    raise SystemExit(0)


def keep(asked: argparse.Namespace, text: str) -> None:
    """Append a row with all that was said, where --record asks for it.

    Args:
        asked: the script's arguments.
        text: the script's docstring, whose first sentence says what was measured.
    """
    if not asked.record:
        return
    from mitozoo import storage

    what = " ".join(text.partition("\n\n")[0].split()).removesuffix(".")
    measured = "; ".join(" ".join(line.split()) for said in _said for line in said.splitlines() if line.strip())
    cells = (what, f"`{command()}`", measured, hardware(), versions(), f"{datetime.now(UTC):%Y-%m-%d}")
    row = "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("|"))
    with storage.write_whole(TABLE) as unfinished:
        unfinished.write_text("\n".join([*lines[: last + 1], row, *lines[last + 1 :], ""]), encoding="utf-8")
    print(f"written into docs/{TABLE.name}")


def command() -> str:
    """Return the command that runs here, places on this machine's disks left out."""
    words = [word for word in sys.argv[1:] if word != "--record"]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *map(_without_places, words)])


def _without_places(word: str) -> str:
    option, equals, value = word.rpartition("=") if word.startswith("--") else ("", "", word)
    if os.sep not in value and not Path(value).is_dir():
        return word
    return f"{option}{equals}{'DIR' if Path(value).is_dir() else 'FILE'}"


def hardware() -> str:
    """Return this machine's cores that may be used, and its GPU where torch has been at work."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    named = f"{cores} cores of {_processor()}"
    torch = sys.modules.get("torch")
    return f"{torch.cuda.get_device_name()}, {named}" if torch and torch.cuda.is_available() else named


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> str:
    """Return the versions of Python and of those libraries that were imported."""
    found = [f"Python {platform.python_version()}"]
    for name in LIBRARIES:
        try:
            found += [f"{name} {version(name)}"] if MODULES.get(name, name) in sys.modules else []
        except PackageNotFoundError:
            continue
    return ", ".join(found)
