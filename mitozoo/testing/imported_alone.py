"""Import a plugin in a process of its own where heavy packages are out of reach; `isolation` starts it."""

from __future__ import annotations

import base64
import contextlib
import importlib.metadata
import json
import pickle
import sys
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


class OutOfReach:
    """Finds heavy packages before anybody else does, notes who imports them, and refuses.

    To ask whether one is installed (`importlib.util.find_spec`) is no import, and is answered.
    """

    def __init__(self, heavy: Sequence[str]) -> None:
        self.heavy = frozenset(heavy)
        self.imported: list[str] = []

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        """Claim a heavy package, and leave all others to Python."""
        return ModuleSpec(name, self) if name.partition(".")[0] in self.heavy else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make an empty module."""

    def exec_module(self, module: ModuleType) -> None:
        """Note where the import stands, and refuse it."""
        self.imported.append(f"{module.__name__} ({_importing_line()})")
        raise ImportError(f"{module.__name__} must not be imported when a plugin is", name=module.__name__)


def _importing_line() -> str:
    """Return file and line of the statement that imports: the innermost frame that is not Python's own machinery."""
    frame = sys._getframe(2)
    while frame.f_back is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"


def examine(task: dict[str, Any]) -> dict[str, Any]:
    """Import what the task names and return what was seen.

    Args:
        task: 'path' for `sys.path`; 'heavy', package names; 'entry_points', values such as 'module'; 'record', a
            pickled record in base64 or None.
    """
    sys.path[:] = task["path"]
    barrier = OutOfReach(task["heavy"])
    sys.meta_path.insert(0, barrier)
    fingerprints: dict[str, str] = {}
    failure, began = "", time.perf_counter()
    try:
        for value in task["entry_points"]:
            plugin = importlib.metadata.EntryPoint(name="plugin", group="mitozoo", value=value).load()
            for hook in ("mitozoo_models", "mitozoo_datasets"):
                for spec in getattr(plugin, hook, list)():
                    fingerprints[f"{type(spec).__name__} {spec.name}"] = spec.fingerprint()
        if task["record"]:
            spec = pickle.loads(base64.b64decode(task["record"]))  # noqa: S301 - written by the process that started this one
            fingerprints[f"{type(spec).__name__} {spec.name}"] = spec.fingerprint()
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a plugin's own code may raise anything; it is told)
        failure = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - began
    return {"imported": barrier.imported, "failure": failure, "fingerprints": fingerprints, "seconds": seconds}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints must not mix with the answer
        seen = examine(json.load(sys.stdin))
    json.dump(seen, sys.stdout)
