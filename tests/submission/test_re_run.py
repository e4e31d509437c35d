"""A row of a submission is computed again from pixels and weights: what is honest agrees, a forgery does not."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from forged_bundles import forge, forge_table

import mitozoo
from mitozoo.errors import VerificationError
from mitozoo.results.cell_columns import CellColumns
from mitozoo.results.conditions import Conditions
from mitozoo.results.image_controls import CONTROLS
from mitozoo.results.pathologists import pathologists_parts
from mitozoo.results.scoring import score, threshold_of
from mitozoo.results.tables import CELLS, KEPT, PREDICTIONS, read_rows, read_table
from mitozoo.submission.check import check_submission
from mitozoo.submission.re_run import ReRun

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def make_better(bundle: Path) -> None:
    """Raise the scores of positive test cells, and compute everything that follows as `eval` would."""
    import dataclasses

    from mitozoo.data.folds import make_folds

    labels = read_table(bundle / CELLS, KEPT).set_index("cell_id")["label"]

    def raised(predictions: pd.DataFrame) -> None:
        own = labels.loc[predictions["cell_id"]].to_numpy()
        predictions["score"] = (predictions["score"] + np.where(own == 1, 0.2, 0)).clip(0, 1)

    forge_table(bundle, PREDICTIONS, raised)

    def follow(document: dict[str, Any]) -> None:
        table = read_table(bundle / CELLS, KEPT)
        conditions = Conditions.of(document)
        cells = CellColumns.of(table, conditions)
        recipe = conditions.recipe(document["protocol"]["parameters"])
        folds = make_folds(cells.labels, cells.groups, table["split"].to_numpy(dtype=np.str_), cells.domains, recipe)
        rows = [
            dataclasses.replace(row, threshold=threshold_of(cells, row))
            for row in read_rows(bundle, table["cell_id"], document["scores"])
        ]
        document |= score(cells, folds, rows)
        document |= pathologists_parts(cells, table["votes"], folds, rows, document["dataset"])

    forge(bundle, follow)


def test_an_honest_submission_is_reproduced_by_a_network_that_is_loaded_for_it(bundle, loads):
    verdict = check_submission(bundle, again=ReRun(cells=20))
    assert loads() == 1  # though its embeddings are cached
    assert verdict.level == "reproduced"
    [line] = [line for line in verdict.checked if "computed again from pixels and weights" in line]
    assert line.startswith("20 scores of fold")
    assert "(--seed " in line


def test_a_sample_can_be_drawn_again(bundle):
    first, second, third = (check_submission(bundle, again=ReRun(seed=seed)).checked for seed in (1, 1, 2))
    assert first == second != third


def test_a_consistent_forgery_passes_every_check_of_files_and_not_this_one(bundle):
    make_better(bundle)
    assert check_submission(bundle).level == "arithmetic verified"
    with pytest.raises(VerificationError, match=r"are others when computed again|the threshold of"):
        check_submission(bundle, again=ReRun())


def test_labels_are_checked_where_no_hash_was_known(bundle, monkeypatch):
    from mitozoo.plugins.registry import load_registry

    spec = load_registry().dataset("tiny").spec
    monkeypatch.setitem(spec.__dict__, "table_sha256", {})
    assert check_submission(bundle).level == "self-reported"
    assert check_submission(bundle, again=ReRun()).level == "reproduced"


def test_other_weights_and_other_pixels_are_found(bundle, zoo, tmp_path):
    own = shutil.copytree(bundle, tmp_path / "own")
    forge(own, lambda document: document["model"].update(weights_sha256="0" * 64))
    with pytest.raises(VerificationError, match="weights_sha256 is recorded as"):
        check_submission(own, again=ReRun())

    data = shutil.copytree(zoo, tmp_path / "data")
    slide = data / "slide-03.tif"
    painted = bytearray(slide.read_bytes())
    painted[len(painted) // 2] ^= 0xFF
    slide.write_bytes(bytes(painted))
    with pytest.raises(VerificationError, match="show other pixels than the run saw"):
        check_submission(bundle, again=ReRun(data=data))


def test_what_cannot_be_computed_again_says_why_and_keeps_its_level(bundle, tmp_path):
    nowhere = check_submission(bundle, again=ReRun(data=tmp_path / "nowhere"))
    assert nowhere.level == "arithmetic verified"
    assert nowhere.flags == [
        f"not computed again: the data folder {tmp_path / 'nowhere'} of dataset 'tiny' does not exist"
    ]

    run = mitozoo.evaluate(
        "steady", "tiny", protocol="end-to-end-short", settings={"epochs": 1}, folds=1, out=tmp_path / "runs"
    ).folder
    from forged_bundles import DECLARED, REPORT

    from mitozoo.submission.create import create_submission

    create_submission(run, tmp_path / "trained", DECLARED, check=REPORT)
    trained = check_submission(tmp_path / "trained", again=ReRun())
    assert trained.level == "arithmetic verified"
    [flag] = trained.flags
    assert flag.endswith("trains the network, which is not repeated")


def test_a_strangers_model_is_never_run(bundle, tmp_path):
    code = tmp_path / "evil.py"
    code.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")

    def name_it(document: dict[str, Any]) -> None:
        document["model"] |= {"name": f"{code}:Evil", "plugin": None}

    forge(bundle, name_it)
    verdict = check_submission(bundle, again=ReRun())
    assert verdict.level == "arithmetic verified"
    assert "not computed again: its model is offered by no plugin that is installed here" in verdict.flags
    assert not (tmp_path / "ran").exists()
    assert json.loads((bundle / "result.json").read_text())["model"]["name"].endswith("evil.py:Evil")
    assert not (bundle / CONTROLS).exists()
