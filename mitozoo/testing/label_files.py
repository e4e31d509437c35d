"""Are a dataset's label files read, and the same twice; then what they hold, and the images that they name."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitozoo.data.cells import read_every_cell
from mitozoo.data.folder import select_data_folder
from mitozoo.download.folder import fetched_folder
from mitozoo.engine.findings import Finding, finding_of
from mitozoo.errors import DataError, MitozooError
from mitozoo.testing.images_of_cells import image_findings
from mitozoo.testing.table_of_cells import table_findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from mitozoo.plugins.dataset_spec import DatasetSpec

SECONDS = 120


def label_file_findings(spec: DatasetSpec, data: Path | None) -> Iterator[Finding]:
    """Yield what label files and image headers show, as far as they are on this machine."""
    try:
        if data is None and spec.prepare is None:
            fetched_folder(spec)
    except DataError as error:
        told = "NOT CHECKED: classes, groups, split, domains, votes, positions and images, since there are no files"
        yield Finding("WARN", "label files", told, " ".join((error.hint or error.message).split()))
        return
    try:
        folder = select_data_folder(spec, data)
        began = time.perf_counter()
        raw, table = read_every_cell(spec, folder)
    except MitozooError as error:
        yield finding_of(error, "label files", mend="Mend the label file, or the record that says how to read it.")
        return
    except Exception as error:  # noqa: BLE001 (a reader must never raise anything else)
        told = f"reading them raises {type(error).__name__}: {error}"
        yield Finding("FAIL", "label files", told, "This is a fault of mitozoo: please report it.")
        return
    seconds, slides = time.perf_counter() - began, table["slide"].nunique()
    yield Finding("PASS", "label files", f"{len(table):,} cells on {slides:,} slides, read in {seconds:.1f} s")
    yield _read_again_finding(spec, folder, table)
    yield from table_findings(spec, raw, table)
    yield from image_findings(spec, folder, table)


def digest(table: pd.DataFrame) -> str:
    """Return 64 hex digits over every column of every cell, whatever the order of the rows."""
    text = table.sort_values("cell_id", kind="stable").to_csv(index=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_again_finding(spec: DatasetSpec, folder: Path, table: pd.DataFrame) -> Finding:
    """Tell whether a second reading gives the same cells; of a plugin's own reader, one in another process."""
    try:
        again = read_every_cell(spec, folder)[1]
        if set(again["cell_id"]) != set(table["cell_id"]):
            here: list[str] = sorted(set(table["cell_id"]) - set(again["cell_id"]))
            told = f"{len(here):,} of {len(table):,} cell ids are others at the second reading, such as '{here[0]}'"
            return Finding("FAIL", "read twice", told, "Make ids of what the label file says of a cell, such as a uid.")
        digests = {digest(table), digest(again)}
        if callable(spec.cells):
            digests.add(_digest_elsewhere(spec, folder))
    except (MitozooError, subprocess.SubprocessError) as error:
        return Finding("FAIL", "read twice", f"the second reading fails: {error}", "Let the reader keep no state.")
    if len(digests) > 1:
        mend = "Let the reader go through files and rows in a fixed order: sorted(folder.glob(...)), and no sets."
        return Finding("FAIL", "read twice", "two readings give different cells", mend)
    return Finding("PASS", "read twice", f"sha256 {digest(table)[:12]}, both times")


def _digest_elsewhere(spec: DatasetSpec, folder: Path) -> str:
    """Return the digest that another process, with another hash seed, comes to."""
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    path = os.pathsep.join(os.path.abspath(part) for part in sys.path)  # noqa: PTH100 ('' is this folder)
    task = {"spec": base64.b64encode(pickle.dumps(spec)).decode(), "folder": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "mitozoo.testing.label_files"],
        env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": seed},
        input=json.dumps(task), capture_output=True, text=True, check=True, timeout=SECONDS,
    )  # fmt: skip
    return done.stdout.split()[-1]


def _read_for_another(task: dict[str, Any]) -> str:
    spec = pickle.loads(base64.b64decode(task["spec"]))  # noqa: S301 - written by the process that started this one
    return digest(read_every_cell(spec, Path(task["folder"]))[1])


if __name__ == "__main__":
    print(_read_for_another(json.load(sys.stdin)))  # noqa: T201
