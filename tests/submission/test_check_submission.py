"""What a check says of a submission: its level, its flags, and a refusal that names what is wrong and where."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from forged_bundles import REPORT, forge, forge_submission, forge_table
from jsonschema import Draft202012Validator

import mitozoo
from mitozoo.errors import DataError, MitozooError, StorageError, VerificationError
from mitozoo.plugins.registry import reset_registry
from mitozoo.submission.check import check_submission
from mitozoo.submission.create import create_submission
from mitozoo.submission.declaration import Declaration
from mitozoo.submission.schemas import submission_schema, submission_violations, verdict_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNDECLARED = Declaration("https://example.org/people")


def refused(bundle: Path, kind: type[MitozooError] = VerificationError) -> str:
    with pytest.raises(kind) as caught:
        check_submission(bundle)
    return caught.value.message


def test_an_honest_submission_is_verified_and_says_what_was_looked_at(bundle):
    verdict = check_submission(bundle)
    assert (verdict.level, verdict.flags) == ("arithmetic verified", [])
    said = "\n".join(verdict.checked)
    for words in (
        "thresholds follow from the validation scores", "intervals, summaries and controls follow", "protocol's own",
        "the model's fingerprint is that of its record in mitozoo-plugin-tinyzoo 1.0.0",
        "cells, slides, groups, labels and domains are the dataset's own", "test set was scored once",
    ):  # fmt: skip
        assert words in said


def test_a_verdict_is_what_leaderboards_read(bundle, tmp_path):
    verdict = check_submission(bundle)
    verdict.write(tmp_path / "verdict.json")
    written = json.loads((tmp_path / "verdict.json").read_text())
    Draft202012Validator(verdict_schema()).validate(written)
    assert written["level"] == "arithmetic verified"
    assert written["mitozoo"] == mitozoo.__version__

    from mitozoo.leaderboard.verdicts import read_verdicts

    [(sha256, read)] = read_verdicts(tmp_path).items()
    assert sha256 == written["result_sha256"]
    assert read.level == "arithmetic verified"


def test_a_submission_keeps_its_schema_and_holds_no_row_of_weights(bundle):
    submission = json.loads((bundle / "submission.json").read_text())
    Draft202012Validator.check_schema(submission_schema())
    assert submission_violations(submission) == []
    names = sorted(path.name for path in bundle.iterdir())
    assert names == [
        "cells.parquet", "compute.json", "predictions.parquet", "result.json", "splits.parquet", "submission.json",
    ]  # fmt: skip
    assert json.loads((bundle / "compute.json").read_text())["calls"][0]["environment"]["python"]


def declare(**changed: Any) -> Callable[[Path], None]:
    def change(bundle: Path) -> None:
        forge_submission(bundle, lambda submission: submission.update(changed))

    return change


def without_hash(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the same dataset from a plugin that ships no sha256 of its table."""
    from mitozoo.plugins.registry import load_registry

    spec = load_registry().dataset("tiny").spec
    monkeypatch.setitem(spec.__dict__, "table_sha256", {})


def test_labels_without_a_known_hash_are_self_reported(bundle, monkeypatch):
    without_hash(bundle, monkeypatch)
    verdict = check_submission(bundle)
    assert verdict.level == "self-reported"
    assert verdict.flags == ["labels not checked against the dataset: no hash known"]


@pytest.mark.parametrize(
    ("change", "level", "flag"),
    [
        (declare(test_set=None), "self-reported", "self-reported, test labels public"),
        (declare(test_set={"scored": 40, "selected_on": True}), "arithmetic verified", "served for selection"),
        (declare(check=None), "arithmetic verified", "without a report of mitozoo check"),
        (
            declare(check=REPORT | {"findings": [{"status": "FAIL", "what": "pooling", "detail": "is another"}]}),
            "arithmetic verified", "mitozoo check fails on the submitter's machine: pooling",
        ),
        (
            declare(pretraining={"data": ["tiny-child", "imagenet"], "labels": []}), "arithmetic verified",
            "declares pretraining on tiny-child, relatives of the dataset",
        ),
    ],
)  # fmt: skip
def test_what_is_declared_is_flagged(change, level, flag, bundle):
    change(bundle)
    verdict = check_submission(bundle)
    assert verdict.level == level
    assert any(flag in said for said in verdict.flags), verdict.flags


def test_without_the_plugins_it_is_self_reported(bundle, monkeypatch):
    monkeypatch.setenv("MITOZOO_DISABLE_PLUGINS", "tinyzoo")
    reset_registry()
    try:
        verdict = check_submission(bundle)
        assert verdict.level == "self-reported"
        assert verdict.flags[0].startswith("labels not checked against the dataset: the plugin of 'tiny' is not here")
        assert "the plugin of model 'steady' is not installed here" in verdict.flags
        assert "the model's fingerprint is that of the record that the submission brings along" in verdict.checked
        forge(bundle, lambda document: document["model"].update(fingerprint="0" * 64))
        assert "fingerprint is not that of the record beside it" in refused(bundle)
        forge_submission(bundle, lambda submission: submission["model"].update(record=None))
        assert any("nothing here tells what model" in flag for flag in check_submission(bundle).flags)
    finally:
        monkeypatch.undo()
        reset_registry()


def test_a_strange_model_under_a_known_name_is_no_more_than_claimed(bundle):
    forge(bundle, lambda document: document["model"].update(plugin="mitozoo-plugin-strange"))
    verdict = check_submission(bundle)
    assert verdict.level == "self-reported"
    assert "it bears the name of a model of mitozoo-plugin-tinyzoo, and is another one" in verdict.flags


def test_another_version_of_a_plugin_is_no_forgery_and_no_proof(bundle):
    forge(bundle, lambda document: document["model"].update(version="0.9.0", fingerprint="1" * 64))
    verdict = check_submission(bundle)
    assert verdict.level == "self-reported"
    assert "the model's record is of version 0.9.0 of its plugin; here is mitozoo-plugin-tinyzoo 1.0.0" in verdict.flags


def in_document(part: str, **changed: Any) -> Callable[[Path], None]:
    return lambda bundle: forge(bundle, lambda document: document[part].update(changed))


def another_metric(bundle: Path) -> None:
    value = {"value": 0.9, "ci_low": 0.8, "ci_high": 1.0}
    forge(bundle, lambda document: document["scores"][0]["metrics"].update(youden=value))


def limited(bundle: Path) -> None:
    forge(bundle, lambda document: document["marks"].append("only 100 cells"))


def remove_mark(bundle: Path) -> None:
    forge(bundle, lambda document: document["marks"].remove("synthetic data"))


def rename_fold(bundle: Path) -> None:
    forge(bundle, lambda document: document["folds"][0].update(name="tumour=other"))


def rename_group(bundle: Path) -> None:
    """Change a name on which no number depends."""

    def rename(cells: pd.DataFrame) -> None:
        last = cells["group"].max()
        cells.loc[cells["group"] == last, "group"] = last + "x"

    forge_table(bundle, "cells.parquet", rename)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (in_document("model", fingerprint="0" * 64), "the model's fingerprint is not that of its record in mitozoo-"),
        (in_document("model", license="MIT"), "license of the model is recorded as 'MIT'"),
        (in_document("model", parameters=1), "parameters of the model is recorded as 1"),
        (in_document("dataset", fingerprint="0" * 64), "the dataset's fingerprint is not that of its record"),
        (in_document("dataset", synthetic=False), "synthetic is recorded as False"),
        (in_document("dataset", positive_class="mitosis"), "positive_class is recorded as 'mitosis'"),
        (in_document("dataset", license="MIT"), "dataset.license is recorded as 'MIT'"),
        (in_document("dataset", voters=3), "dataset.voters is recorded as 3"),
        (another_metric, "scores.0.metrics.'youden' is nothing that this version of mitozoo computes"),
        (limited, "the run was made with --limit (only 100 cells), which is never submitted"),
        (remove_mark, "the mark 'synthetic data' is missing"),
        (rename_fold, "folds.0.name is recorded as 'tumour=other'"),
        (in_document("conditions", stain="macenko"), "conditions in the run's identity"),
        (rename_group, "cells.parquet holds other cells, slides, groups or labels than dataset 'tiny'"),
    ],
)
def test_what_contradicts_the_plugins_is_refused(change, said, bundle):
    change(bundle)
    message = refused(bundle)
    assert said in message
    assert message.startswith("steady: ")


def test_files_that_were_changed_are_named(bundle):
    for name in ("predictions.parquet", "result.json", "compute.json"):
        changed = shutil.copytree(bundle, bundle.parent / name)
        with (changed / name).open("ab") as file:
            file.write(b" ")
        assert refused(changed) == f"{name}: {name} has another sha256 than submission.json records"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_truncated_table_is_named(bundle):
    truncate(bundle / "predictions.parquet")
    forge_submission(bundle)
    assert refused(bundle, StorageError).startswith("predictions.parquet is damaged")


def test_tables_exchanged_with_those_of_another_run_are_named(bundle, zoo, tmp_path):
    other = mitozoo.evaluate("chance", "tiny", out=tmp_path / "runs", fractions=(0.5, 1), folds=2).folder
    shutil.copy(other / "predictions.parquet", bundle)
    forge_submission(bundle)
    assert refused(bundle) == "steady: predictions.parquet has another sha256 than result.json records"
    forge(bundle)
    assert "is recorded as" in refused(bundle)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda cells: cells.__setitem__("html", "x"), "cells.parquet has a column 'html', which no submission has"),
        (lambda cells: cells.drop(columns="votes"), "cells.parquet must have each of the columns"),
        (
            lambda cells: cells.__setitem__("label", cells["label"] * 0.5),
            "has double in its column label",
        ),
        (lambda cells: pd.concat([cells, cells]), None),
    ],
)
def test_tables_of_another_shape_are_refused_before_they_are_read(change, said, bundle):
    forge_table(bundle, "cells.parquet", change)
    if said is None:  # twice as many rows as the document states
        forge_submission(bundle)
        document = json.loads((bundle / "result.json").read_text())
        document["dataset"]["cells"] //= 2
        (bundle / "result.json").write_text(json.dumps(document))
        forge_submission(bundle)
        said = "cells.parquet has 336 rows, more than it can need"
    assert said in refused(bundle, StorageError)


@pytest.mark.parametrize(
    ("text", "said"),
    [("cell\u202e", "a text with the hidden character U+202E"), ("", "has an empty cell_id")],
)
def test_names_that_may_not_be_shown_are_refused(text, said, bundle):
    def rename(cells: pd.DataFrame) -> pd.DataFrame:
        cells.loc[0, "cell_id"] = text
        return cells.sort_values("cell_id")

    forge_table(bundle, "cells.parquet", rename)
    assert said in refused(bundle)


@pytest.mark.parametrize("name", ["submission.json", "result.json"])
def test_an_unknown_schema_is_named(name, bundle):
    document = json.loads((bundle / name).read_text())
    document["schema"] = document["schema"].replace("/1", "/2")
    (bundle / name).write_text(json.dumps(document))
    if name == "result.json":
        forge_submission(bundle)
    message = refused(bundle, StorageError)
    assert message.startswith(f"{name} has schema 'mitozoo-")
    assert message.endswith("/1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda submission: submission.update(extra="x"), "breaks its schema"),
        (lambda submission: submission.update(contact="nobody"), "no contact that could be reached"),
        (lambda submission: submission.update(run_id="0" * 64), "run_id in submission.json is recorded as '000"),
        (lambda submission: submission["model"].update(name="best"), "name of the model in submission.json"),
        (lambda submission: submission["files"].update({"../x": "0" * 64}), "does not list the files that are there"),
        (lambda submission: submission["test_set"].update(scored=0), "test_set.scored: 0 is less than the minimum"),
    ],
)
def test_a_submission_that_contradicts_itself_is_refused(change, said, bundle):
    forge_submission(bundle, change)
    assert said in refused(bundle)


def test_rows_that_name_paths_are_never_opened(bundle):
    def climb(document: dict[str, Any]) -> None:
        document["scores"][0]["row_id"] = "../../../etc/passwd"

    forge(bundle, climb)
    assert "names" in refused(bundle) or "row" in refused(bundle)

    def lead_out(document: dict[str, Any]) -> None:
        document["image_controls"] = {"colour-statistics": {"run": "../../etc"}}

    forge(bundle, lead_out)
    assert "result.json names the controls ../../etc, and controls/ holds none" in refused(bundle)


def test_what_is_no_submission(tmp_path):
    assert "there is no submission" in refused(tmp_path / "nothing", DataError)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "rows").mkdir()
    assert "which no submission has" in refused(tmp_path / "runs", DataError)


def test_a_run_of_part_of_the_cells_is_not_taken(zoo, tmp_path):
    run = mitozoo.evaluate("steady", "tiny", out=tmp_path / "runs", limit=120, folds=1).folder
    with pytest.raises(DataError, match="was made with --limit"):
        create_submission(run, tmp_path / "bundle", UNDECLARED, check=REPORT)


def test_a_run_that_was_edited_by_hand_is_not_taken(zoo, tmp_path):
    run = mitozoo.evaluate("steady", "tiny", out=tmp_path / "runs", folds=1).folder
    document = json.loads((run / "result.json").read_text())
    document["summary"][0]["metrics"]["auroc"]["mean"] = 0.99
    (run / "result.json").write_text(json.dumps(document))
    with pytest.raises(VerificationError, match=r"summary\.0\.metrics\.auroc\.mean is recorded as 0\.99"):
        create_submission(run, tmp_path / "bundle", UNDECLARED, check=REPORT)
    assert not (tmp_path / "bundle").exists()


def test_nothing_is_overwritten(submitted, tmp_path):
    with pytest.raises(MitozooError, match="exists, and nothing is overwritten"):
        create_submission(tmp_path, submitted, UNDECLARED)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"contact": "me"}, "needs a contact"),
        ({"contact": "a b@c"}, "needs a contact"),
        ({"scored": 3}, "declared in part"),
        ({"selected_on": False}, "declared in part"),
        ({"scored": 0, "selected_on": False}, "once at least"),
        ({"note": "a\u202eb"}, "hidden character"),
    ],
)
def test_declarations_that_cannot_be_meant(wrong, said):
    with pytest.raises(MitozooError, match=said):
        Declaration(**({"contact": "someone@example.org"} | wrong))
