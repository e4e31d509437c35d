"""A submission of a tiny run, and a forger who changes it and then mends every checksum that it states."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import mitozoo
from mitozoo.plugins.record import canonical_json
from mitozoo.results.run_folder import RESULT, dump, run_id
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS
from mitozoo.submission.create import create_submission
from mitozoo.submission.declaration import Declaration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TABLES = (CELLS, SPLITS, PREDICTIONS)
#: Stands for what `mitozoo check` takes half a minute to find out.
REPORT = {"subject": "steady", "passed": True, "seconds": 1.0, "findings": []}
DECLARED = Declaration("someone@example.org", scored=1, selected_on=False)


@pytest.fixture(scope="module")
def submitted(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the submission of a finished run, not to be changed."""
    out = tmp_path_factory.mktemp("submissions")
    run = mitozoo.evaluate("steady", "tiny", out=out / "runs", fractions=(0.5, 1), folds=2).folder
    create_submission(run, out / "steady", DECLARED, check=REPORT)
    return out / "steady"


@pytest.fixture
def bundle(submitted: Path, tmp_path: Path) -> Path:
    """Return a copy of it, to be changed."""
    return shutil.copytree(submitted, tmp_path / submitted.name)


def forge(bundle: Path, change: Callable[[dict[str, Any]], None] = lambda document: None) -> None:
    """Change result.json, then mend all that is computed from the files and from the document itself."""
    document = json.loads((bundle / RESULT).read_text())
    change(document)
    cells = pd.read_parquet(bundle / CELLS)
    document["files"] |= {name: sha256_of(bundle / name) for name in TABLES}
    document["dataset"] |= {"cells": len(cells), "groups": cells["group"].nunique(), "cells_sha256": _of_cells(cells)}
    for side, label in (("positive", 1), ("negative", 0)):
        document["dataset"]["classes"][side]["cells"] = int((cells["label"] == label).sum())
    protocol = document["protocol"]
    essence = canonical_json({"version": protocol["version"]} | protocol["parameters"])
    protocol["hash"] = hashlib.sha256(essence.encode()).hexdigest()
    document["identity"] |= {
        "model": document["model"]["fingerprint"], "weights": document["model"]["weights_sha256"],
        "dataset": document["dataset"]["fingerprint"], "cells": document["dataset"]["cells_sha256"],
        "protocol": protocol["hash"],
    }  # fmt: skip
    document["run_id"] = run_id(document["identity"])
    (bundle / RESULT).write_text(dump(document))

    def mend(submission: dict[str, Any]) -> None:
        submission["run_id"] = document["run_id"]
        submission["model"] |= {name: document["model"][name] for name in ("name", "fingerprint", "weights_sha256")}

    forge_submission(bundle, mend)


def forge_submission(bundle: Path, change: Callable[[dict[str, Any]], None] = lambda submission: None) -> None:
    """Change submission.json, then mend the sha256 of every file in it."""
    path = bundle / "submission.json"
    submission = json.loads(path.read_text())
    change(submission)
    submission["files"] |= {
        file.relative_to(bundle).as_posix(): sha256_of(file)
        for file in sorted(bundle.rglob("*"))
        if file.is_file() and file != path
    }
    path.write_text(json.dumps(submission))


def forge_table(bundle: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> None:
    """Change a table, then mend all that is computed from it."""
    table = pd.read_parquet(bundle / name)
    changed = change(table)
    (table if changed is None else changed).to_parquet(bundle / name, index=False, compression="zstd")
    forge(bundle)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _of_cells(cells: pd.DataFrame) -> str:
    digest = hashlib.sha256()
    for row in zip(*(cells[name].tolist() for name in ("cell_id", "slide", "group", "label")), strict=True):
        digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()
