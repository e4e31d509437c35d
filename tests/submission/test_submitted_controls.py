"""Controls that see the image travel with a submission as runs of their own, and are verified like it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from forged_bundles import DECLARED, REPORT, forge, forge_submission, sha256_of

import mitozoo
from mitozoo.errors import MitozooError, StorageError, VerificationError
from mitozoo.plugins.registry import reset_registry
from mitozoo.submission.check import check_submission
from mitozoo.submission.create import create_submission

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def controlled(zoo, tmp_path_factory) -> Iterator[Path]:
    """Return the submission of a run with its image controls."""
    out = tmp_path_factory.mktemp("controlled")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MITOZOO_PLUGINS", "tinyzoo,controls")
        reset_registry()
        run = mitozoo.evaluate("steady", "tiny", out=out / "runs", folds=2, controls="full").folder
        create_submission(run, out / "steady", DECLARED, check=REPORT)
        yield out / "steady"
    reset_registry()


@pytest.fixture
def bundle(controlled, tmp_path) -> Path:
    return shutil.copytree(controlled, tmp_path / "steady")


def control_of(bundle: Path) -> Path:
    [control] = (bundle / "controls").iterdir()
    return control


def mended(bundle: Path, change: Any) -> None:
    """Change the control's document and mend what is computed from it."""
    path = control_of(bundle) / "result.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    forge_submission(bundle)


def test_a_control_is_verified_like_the_run(bundle):
    verdict = check_submission(bundle)
    assert verdict.level == "arithmetic verified"
    assert "the control colour-statistics is verified like the run itself" in verdict.checked
    assert any("image control 'colour-statistics' follows from" in line for line in verdict.checked)
    assert verdict.flags == ["without the control 'random-init': model 'steady' cannot be built without its weights"]


def better_control(document: dict[str, Any]) -> None:
    document["image_controls"]["colour-statistics"]["auroc"]["mean"] -= 0.01


def no_control(document: dict[str, Any]) -> None:
    document["image_controls"] = None


def test_what_the_run_says_of_its_control_is_recomputed(bundle):
    forge(bundle, better_control)
    with pytest.raises(VerificationError, match="image control 'colour-statistics' is not what"):
        check_submission(bundle)
    forge(bundle, no_control)
    with pytest.raises(VerificationError, match=r"result\.json names the controls none, and controls/ holds colour"):
        check_submission(bundle)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda control: control["summary"][0]["metrics"]["auroc"].update(mean=0.5), r"summary\.0\.metrics\.auroc"),
        (lambda control: control["model"].update(name="chance"), "model of the control 'colour-statistics'"),
        (lambda control: control["dataset"].update(cells_sha256="0" * 64), "cells_sha256 of the control"),
        (lambda control: control.update(run_id="0" * 64), "run_id of the control"),
        (lambda control: control["model"].update(fingerprint="0" * 64), "model in the run's identity"),
    ],
)
def test_a_changed_control_is_found(change, said, bundle):
    mended(bundle, change)
    with pytest.raises(VerificationError, match=said):
        check_submission(bundle)


def test_scores_of_a_control_that_are_another_models(bundle):
    shutil.copy(bundle / "predictions.parquet", control_of(bundle))
    digest = sha256_of(bundle / "predictions.parquet")
    mended(bundle, lambda control: control["files"].update({"predictions.parquet": digest}))
    with pytest.raises(VerificationError, match=r"is not what|is recorded as"):
        check_submission(bundle)


def test_a_control_that_is_not_there(bundle, controlled, tmp_path):
    shutil.rmtree(bundle / "controls")
    with pytest.raises(MitozooError, match=r"does not list the files that are there"):
        check_submission(bundle)
    run = next((controlled.parent / "runs").glob("steady-tiny-*"))
    alone = shutil.copytree(run, tmp_path / "runs" / run.name)
    with pytest.raises(StorageError, match="the run of its control 'colour-statistics' does not lie beside"):
        create_submission(alone, tmp_path / "new", DECLARED, check=REPORT)
