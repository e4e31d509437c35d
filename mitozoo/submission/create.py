"""Make a submission of a run: its document and tables, those of its controls, and what its makers declare."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mitozoo import storage
from mitozoo.engine.seen_again import UNTRAINED
from mitozoo.engine.verification import verify_run
from mitozoo.errors import DataError, MitozooError, StorageError
from mitozoo.results.image_controls import CONTROLS
from mitozoo.results.run_folder import COMPUTE, RESULT, read_document
from mitozoo.submission.bundle import OF_A_RUN, SUBMISSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.submission.declaration import Declaration

SCHEMA = "mitozoo-submission/1"
LIMITED = re.compile(r"only [\d,]+ cells")  # the mark of a run with --limit


def create_submission(
    run: Path, out: Path, declaration: Declaration, *, check: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Write a run's submission into a new folder, whole or not at all, and return what its submission.json holds.

    Args:
        run: the run's folder; its image controls' runs must lie beside it.
        out: the folder to make.
        declaration: what the submitter says.
        check: the report of `mitozoo check MODEL --json`; None: the model is checked now.

    Raises:
        MitozooError: the run does not verify, is not for submissions, or lacks a file; or `out` is there already.
    """
    if out.exists() or out.is_symlink():
        raise MitozooError(f"{out} exists, and nothing is overwritten", hint="Name a folder that is not there: -o DIR")
    verify_run(run)
    document = read_document(run / RESULT)
    if limited := [mark for mark in document["marks"] if LIMITED.fullmatch(mark)]:
        raise DataError(f"{run.name} was made with --limit ({limited[0]}), which is for a look and never submitted")
    spec = _model_spec(document)
    if check is None and spec is not None:
        check = _checked(spec)
    with storage.write_folder_whole(out) as unfinished:
        for name, path in _files(run, document):
            (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
            _copy(path, unfinished / name)
        submission = _submission(document, spec, declaration, check)
        submission["files"] = {
            path.relative_to(unfinished).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(unfinished.rglob("*"))
            if path.is_file()
        }
        text = json.dumps(submission, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (unfinished / SUBMISSION).write_text(text, encoding="utf-8")
    return submission


def _submission(
    document: dict[str, Any], spec: ModelSpec | None, declaration: Declaration, check: dict[str, Any] | None
) -> dict[str, Any]:
    from importlib.metadata import version

    model = document["model"]
    seen = declaration.pretraining if declaration.pretraining is not None else spec.pretraining if spec else None
    return {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "mitozoo": version("mitozoo"),
        "run_id": document["run_id"],
        "model": {name: model[name] for name in ("name", "fingerprint", "weights_sha256")}
        | {"record": None if spec is None else spec.essence()},
        "pretraining": {
            "data": None if seen is None else list(seen),
            "labels": None if spec is None else list(spec.trained_on_labels),
        },
        "test_set": declaration.test_set(),
        "contact": declaration.contact,
        "note": declaration.note,
        "check": check,
    }


def _model_spec(document: dict[str, Any]) -> ModelSpec | None:
    """Return the record of the run's model; None for embeddings that were brought along.

    Raises:
        MitozooError: it is not here any more, or is another one by now.
    """
    model = document["model"]
    if document["identity"]["pipeline"] is None:
        return None
    from mitozoo.engine.find_model import find_model

    name = model["name"].removesuffix(UNTRAINED)
    spec = find_model(name).spec
    if spec.fingerprint() != model["fingerprint"]:
        raise DataError(
            f"model '{name}' is not the one that the run saw: its record has changed since",
            hint="Evaluate it again, or install the plugin's version that the run records.",
        )
    return spec


def _checked(spec: ModelSpec) -> dict[str, Any]:
    from mitozoo.testing import check_model

    return check_model(spec).to_json()


def _files(run: Path, document: dict[str, Any]) -> Iterator[tuple[str, Path]]:
    """Yield the name of each file in the submission, and where it lies now."""
    yield from ((name, run / name) for name in (*OF_A_RUN, COMPUTE))
    for name, entry in (document.get("image_controls") or {}).items():
        if "run" not in entry:
            continue
        control = run.parent / entry["run"]
        if not (control / RESULT).is_file():
            raise StorageError(
                f"the run of its control '{name}' does not lie beside {run.name}: {entry['run']}",
                hint="Give the command of the run again: it makes the controls that are missing.",
            )
        verify_run(control)
        yield from ((f"{CONTROLS}/{entry['run']}/{file}", control / file) for file in OF_A_RUN)


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise StorageError(f"{source} is missing or unreadable: {error.strerror or error}") from error
