"""Check a submission offline and without weights: whether what it says can be true, and how much of it is known."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from mitozoo.engine.verification import check_protocol, preset_of
from mitozoo.errors import MitozooError, StorageError, VerificationError
from mitozoo.results.agreement import agree, expect
from mitozoo.results.image_controls import CONTROLS
from mitozoo.results.run_folder import COMPUTE, RESULT
from mitozoo.results.run_folder import SCHEMA as RESULT_SCHEMA
from mitozoo.results.schema import violations
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS
from mitozoo.results.verify import verify
from mitozoo.submission.bundle import SUBMISSION, open_bundle
from mitozoo.submission.create import LIMITED, SCHEMA
from mitozoo.submission.declaration import check_declaration, reachable
from mitozoo.submission.facts import (
    UNCHECKED,
    UNTRAINED,
    check_contamination,
    check_dataset,
    check_folds_and_marks,
    check_model,
)
from mitozoo.submission.plausibility import implausible
from mitozoo.submission.reading import MOST_CELLS, read_json, require_plain_cells, require_table
from mitozoo.submission.schemas import LONGEST_REASON, submission_violations
from mitozoo.submission.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.submission.bundle import Bundle
    from mitozoo.submission.re_run import ReRun

LONGEST_MESSAGE = 2_000  # characters: it may repeat what a stranger wrote
COLOUR_STATISTICS, RANDOM_INIT = "colour-statistics", "random-init"


def check_submission(folder: Path, *, against: Path | None = None, again: ReRun | None = None) -> Verdict:
    """Check a submission and return what is known of it.

    Args:
        folder: of the submission; nothing in it is trusted.
        against: a folder of other submissions, to find scores that are too good or another model's.
        again: compute a random sample again from pixels and weights; None: offline and without weights.

    Raises:
        DataError: the folder holds something that no submission has.
        StorageError: a file is missing, damaged, or of a schema that this version does not know.
        VerificationError: the submission contradicts itself, its plugins' records or its dataset.
    """
    bundle = open_bundle(folder)
    submission = read_submission(bundle)
    document = _read_run(folder, RESULT)
    controls = {name: _read_run(folder / CONTROLS / name, f"{CONTROLS}/{name}/{RESULT}") for name in bundle.controls}
    read_json(folder / COMPUTE)
    verdict = Verdict(submission["files"][RESULT], sha256_of(folder / SUBMISSION))
    try:
        _check_names(submission, document, controls)
        verdict.checked += verify(folder, submitted=True)
        model, datasets = _check_facts(folder, document, submission["model"]["record"], verdict)
        for name, control in controls.items():
            _check_control(folder / CONTROLS / name, control, document, verdict)
        check_contamination(document, model, datasets, submission["pretraining"]["data"], verdict)
    except (VerificationError, StorageError) as error:
        message = error.message.removeprefix(f"{bundle.name}: ")
        raise type(error)(f"{bundle.name}: {message[:LONGEST_MESSAGE]}", hint=error.hint) from error
    except (MitozooError, KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        reason = str(error)[:LONGEST_MESSAGE]
        raise VerificationError(f"{bundle.name}: its files do not fit together: {reason}") from error
    verdict.remarks += [
        f"without the control '{name}': {entry['refused']}"
        for name, entry in (document.get("image_controls") or {}).items()
        if "refused" in entry
    ]
    check_declaration(submission, verdict)
    _check_report(submission, verdict)
    verdict.remarks += implausible(folder, document, against)
    if again is not None:
        _re_run(folder, document, again, model, verdict)
    return verdict


def read_submission(bundle: Bundle) -> dict[str, Any]:
    """Return submission.json, and compare every file's sha256 with the one that it records."""
    submission = read_json(bundle.folder / SUBMISSION)
    if submission.get("schema") != SCHEMA:
        known = f"this version of mitozoo reads {SCHEMA}"
        raise StorageError(f"{SUBMISSION} has schema {str(submission.get('schema'))[:100]!r}; {known}")
    if found := submission_violations(submission):
        raise VerificationError(f"{bundle.name}: {SUBMISSION} breaks its schema: {found[0]}")
    expect(reachable(submission["contact"]), f"{bundle.name}: {SUBMISSION} has no contact that could be reached")
    recorded: dict[str, str] = submission["files"]
    listed = tuple(sorted(recorded)) == bundle.files
    expect(listed, f"{bundle.name}: {SUBMISSION} does not list the files that are there, and no others")
    for name, sha256 in recorded.items():
        same = sha256_of(bundle.folder / name) == sha256
        expect(same, f"{bundle.name}: {name} has another sha256 than {SUBMISSION} records")
    return submission


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes, read now: nobody's memory of a stranger's file is believed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_run(folder: Path, where: str) -> dict[str, Any]:
    """Return a run's document once it and its tables are known to be what they must be, and not too large."""
    document = read_json(folder / RESULT, where)
    if document.get("schema") != RESULT_SCHEMA:
        known = f"this version of mitozoo reads {RESULT_SCHEMA}"
        raise StorageError(f"{where} has schema {str(document.get('schema'))[:100]!r}; {known}")
    if found := violations(document):
        raise VerificationError(f"{where} breaks its schema: {found[0][:LONGEST_REASON]}")
    cells, rows = document["dataset"]["cells"], len(document["scores"])
    expect(cells <= MOST_CELLS, f"{where} states more than {MOST_CELLS:,} cells")
    for name, most in ((CELLS, cells), (SPLITS, cells * rows), (PREDICTIONS, cells * rows)):
        require_table(folder / name, where.replace(RESULT, name), most)
    require_plain_cells(folder, where.replace(RESULT, CELLS))
    return document


def _check_names(submission: dict[str, Any], document: dict[str, Any], controls: dict[str, dict[str, Any]]) -> None:
    """Compare submission.json with result.json, and the controls that are there with those that it names."""
    limited = [mark for mark in document["marks"] if LIMITED.fullmatch(mark)]
    expect(not limited, f"the run was made with --limit ({', '.join(limited)}), which is never submitted")
    agree(f"run_id in {SUBMISSION}", document["run_id"], submission["run_id"])
    for name in ("name", "fingerprint", "weights_sha256"):
        agree(f"{name} of the model in {SUBMISSION}", document["model"][name], submission["model"][name])
    stated = {
        name: entry["run"] for name, entry in (document.get("image_controls") or {}).items() if "run" in entry
    }  # fmt: skip
    expect(
        sorted(map(str, stated.values())) == sorted(controls),
        f"{RESULT} names the controls {', '.join(map(str, stated.values())) or 'none'}, and {CONTROLS}/ holds "
        f"{', '.join(controls) or 'none'}",
    )
    called = {COLOUR_STATISTICS: COLOUR_STATISTICS, RANDOM_INIT: document["model"]["name"] + UNTRAINED}
    for name, run in stated.items():
        control = controls[run]
        agree(f"model of the control '{name}'", called.get(name, name), control["model"]["name"])
        agree(f"run_id of the control '{name}'", control["run_id"], document["image_controls"][name].get("run_id"))
        for part in ("cells_sha256", "negatives", "fingerprint"):
            agree(f"{part} of the control '{name}'", document["dataset"][part], control["dataset"][part])
        agree(f"conditions of the control '{name}'", document["conditions"], control["conditions"])


def _check_facts(
    folder: Path, document: dict[str, Any], record: Any, verdict: Verdict
) -> tuple[ModelSpec | None, list[DatasetSpec]]:
    """Hold a run against protocols and plugins, and return the records of its model and datasets as far as known."""
    protocol = document["protocol"]
    if preset_of(protocol) is None:
        verdict.doubts.append(f"protocol '{protocol['name']}' version {protocol['version']} is not known here")
    else:
        verdict.checked.append(check_protocol(protocol, folder.name))
    model = check_model(document, record, verdict)
    datasets = check_dataset(folder, document, verdict)
    check_folds_and_marks(folder, document, model, datasets, verdict)
    return model, datasets


def _check_control(folder: Path, control: dict[str, Any], document: dict[str, Any], verdict: Verdict) -> None:
    """Check the run of an image control like the run itself; what is not known of it is a remark."""
    verify(folder, submitted=True)
    found = Verdict("", "")
    if control["model"]["name"].endswith(UNTRAINED):
        agree("fingerprint of the untrained model", document["model"]["fingerprint"], control["model"]["fingerprint"])
    _check_facts(folder, control, None, found)
    name = control["model"]["name"]
    verdict.remarks += [f"control {name}: {doubt}" for doubt in found.doubts if doubt not in verdict.doubts]
    verdict.checked.append(f"the control {name} is verified like the run itself")


def _check_report(submission: dict[str, Any], verdict: Verdict) -> None:
    report = submission["check"]
    if report is None:
        verdict.remarks.append("without a report of mitozoo check")
    elif failed := [finding["what"] for finding in report["findings"] if finding["status"] == "FAIL"]:
        verdict.remarks.append(f"mitozoo check fails on the submitter's machine: {', '.join(failed)[:200]}")


def _re_run(folder: Path, document: dict[str, Any], again: ReRun, model: ModelSpec | None, verdict: Verdict) -> None:
    from mitozoo.submission.re_run import NotRunAgainError, re_run

    if model is None:  # code that a stranger's file names is never run
        verdict.remarks.append("not computed again: its model is offered by no plugin that is installed here")
        return
    try:
        verdict.checked.append(re_run(folder, document, again))
        verdict.re_run = True  # on the dataset's own files, whose labels it compared
        verdict.doubts = [doubt for doubt in verdict.doubts if not doubt.startswith(UNCHECKED)]
    except NotRunAgainError as error:
        verdict.remarks.append(f"not computed again: {error.message}")
