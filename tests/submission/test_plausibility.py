"""Scores that are too good, and scores of another model, are flagged; honest ones are not."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mitozoo
from mitozoo.submission.plausibility import implausible

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


@pytest.fixture(scope="module")
def others(submitted, zoo, tmp_path_factory) -> Path:
    """Return a folder with the submission, and one of another model: 'steady' and 'chance'."""
    from forged_bundles import DECLARED, REPORT

    from mitozoo.submission.create import create_submission

    folder = tmp_path_factory.mktemp("others")
    shutil.copytree(submitted, folder / "steady")
    run = mitozoo.evaluate("chance", "tiny", out=folder.parent / "runs", fractions=(0.5, 1), folds=2).folder
    create_submission(run, folder / "chance", DECLARED, check=REPORT)
    return folder


def document_of(bundle: Path) -> dict[str, Any]:
    return json.loads((bundle / "result.json").read_text())


def renamed(bundle: Path, folder: Path, **scores: Any) -> tuple[Path, dict[str, Any]]:
    """Return a copy that claims to be of another model, with some scores changed."""
    import pandas as pd

    copy = shutil.copytree(bundle, folder / "copied")
    document = document_of(copy)
    document["model"] |= {"name": "genius", "fingerprint": "9" * 64}
    table = pd.read_parquet(copy / "predictions.parquet").assign(**scores)
    table.to_parquet(copy / "predictions.parquet", index=False)
    return copy, document


def test_honest_models_are_not_flagged(others, submitted):
    assert list(implausible(submitted, document_of(submitted), None)) == []
    assert list(implausible(others / "chance", document_of(others / "chance"), others)) == []


def test_scores_above_all_that_is_known(others, tmp_path):
    document = document_of(others / "steady")
    document["summary"][0]["metrics"]["auroc"]["mean"] = 0.995
    flags = list(implausible(others / "steady", document, others))
    best = document_of(others / "chance")["summary"][0]["metrics"]["auroc"]["mean"]
    assert flags == [
        "AUROC 0.9950 is above 0.99", f"AUROC 0.9950 is far above the best known, {best:.4f} of chance",
    ]  # fmt: skip


def test_another_models_scores(others, submitted, tmp_path):
    copy, document = renamed(submitted, tmp_path)
    assert list(implausible(copy, document, others)) == ["its scores are identical to those of steady in steady"]


def test_another_models_scores_with_a_little_noise(others, submitted, tmp_path):
    def shaken(table: pd.DataFrame) -> pd.Series[float]:
        noise = np.random.default_rng(0).normal(0, 1e-4, len(table))
        return (table["score"] + noise).clip(1e-3, 1 - 1e-3)

    copy, document = renamed(submitted, tmp_path, score=shaken)
    [flag] = implausible(copy, document, others)
    assert flag.startswith("its scores are nearly, with a correlation of ")


def test_others_that_cannot_be_read_are_left_out(others, submitted, tmp_path):
    crowd = shutil.copytree(others, tmp_path / "crowd")
    (crowd / "chance" / "result.json").write_text("{")
    (crowd / "steady" / "predictions.parquet").write_bytes(b"no table")
    copy, document = renamed(submitted, tmp_path)
    assert list(implausible(copy, document, crowd)) == []
    (crowd / "far").symlink_to(others / "steady")
    assert list(implausible(copy, document, crowd)) == []
