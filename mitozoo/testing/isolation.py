"""What a plugin does when it is imported alone: which heavy packages it asks for, and its records' fingerprints."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mitozoo.engine.findings import Finding
from mitozoo.plugins.discovery import installed_plugins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mitozoo.plugins.record import Record

#: What no plugin may import before it is used: every list of mitozoo would wait for it.
HEAVY = (
    "torch", "torchvision", "timm", "numpy", "pandas", "scipy", "sklearn", "skimage", "PIL", "cv2", "matplotlib",
    "openslide", "tifffile", "pyarrow", "transformers", "open_clip", "huggingface_hub",
)  # fmt: skip
SECONDS = 60
SLOW_SECONDS = 3.0  # an import that takes longer holds up every list; most take a hundredth of that


@dataclass(frozen=True)
class Alone:
    """What was seen in another process.

    Attributes:
        imported: heavy packages that the plugin asked for, each with file and line.
        failure: why it could not be imported or asked; empty where it could.
        fingerprints: '<record> <name>' -> fingerprint.
        seconds: what importing and asking took.
    """

    imported: tuple[str, ...]
    failure: str
    fingerprints: dict[str, str]
    seconds: float = 0.0

    def import_findings(self) -> Iterator[Finding]:
        """Yield whether the plugin can be imported, and without anything heavy."""
        if self.imported:
            mend = "Import it inside the function that needs it, or under `if TYPE_CHECKING:`."
            yield Finding("FAIL", "light import", f"importing it imports {', '.join(self.imported)}", mend)
        elif self.failure:
            mend = "Mend it in the plugin; MITOZOO_STRICT=1 mitozoo plugins shows the same error."
            yield Finding("FAIL", "light import", f"it cannot be imported: {self.failure}", mend)
        elif self.seconds > SLOW_SECONDS:
            mend = "Fetch, read and compute nothing when a module is imported: every list of mitozoo waits for it."
            yield Finding("WARN", "light import", f"it takes {self.seconds:.1f} s", mend)
        else:
            yield Finding("PASS", "light import", f"without {', '.join(HEAVY[:5])} and {len(HEAVY) - 5} more")

    def fingerprint_finding(self, spec: Record) -> Finding:
        """Tell whether a record's fingerprint is the same here, again, and in the other process."""
        here, other = spec.fingerprint(), self.fingerprints.get(f"{type(spec).__name__} {spec.name}")  # type: ignore[attr-defined]
        mend = "Declare constants: no clock, environment, random number, set order or object address in a record."
        if here != spec.fingerprint():
            return Finding("FAIL", "fingerprint", "it differs between two calls", mend)
        if other is None:
            return Finding("FAIL", "fingerprint", "another process does not offer the same record", mend)
        if here != other:
            return Finding("FAIL", "fingerprint", f"{here[:12]} here and {other[:12]} in another process", mend)
        return Finding("PASS", "fingerprint", f"{here[:12]}, the same in another process")


def entry_points_of(distribution: str) -> list[str]:
    """Return the values of a distribution's entry points, such as 'mitozoo_plugin_acme'; none where it is not here."""
    found = [one for one in installed_plugins() if one.distribution == distribution]
    return [one.entry_point.value for one in found if one.entry_point]


def examine_alone(entry_points: Sequence[str], record: Record | None = None) -> Alone:
    """Import entry points (such as 'mitozoo_plugin_acme'), or rebuild a record, in another process.

    That process has another hash seed, and none of the heavy packages.
    """
    pickled = None if record is None else base64.b64encode(pickle.dumps(record)).decode()
    path = [os.path.abspath(folder) for folder in sys.path]  # noqa: PTH100 ('' is this folder; zip files stay)
    task = {"path": path, "heavy": HEAVY, "entry_points": list(entry_points), "record": pickled}
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mitozoo.testing.imported_alone"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path), "PYTHONHASHSEED": seed},
            input=json.dumps(task), capture_output=True, text=True, check=True, timeout=SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Alone((), f"it takes longer than {SECONDS} s", {})
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        return Alone((), f"its process ended: {last}", {})
    seen = json.loads(done.stdout)
    return Alone(tuple(seen["imported"]), seen["failure"], seen["fingerprints"], seen["seconds"])
