"""What a run says of its test cells: the mean over fits, recomputed from the tables by other means."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

import mitozoo
from mitozoo.errors import DataError, StorageError, VerificationError
from mitozoo.results.tested import read_tested


@pytest.fixture(scope="module")
def run(zoo, tmp_path_factory):
    return mitozoo.evaluate(
        "steady", "tiny", out=tmp_path_factory.mktemp("runs"), seeds=2, fractions=(0.5, 1.0), perturb=("blur=1",)
    ).folder


def by_hand(run, fraction: float, seeds: tuple[int, ...]) -> pd.DataFrame:
    """Return score, share of positive calls and fits of each tested cell, joined in pandas from the files alone."""
    document = json.loads((run / "result.json").read_text())
    rows = pd.DataFrame(document["scores"])[["row_id", "fold", "seed", "fraction", "perturbed", "threshold"]]
    rows = rows[(rows["fraction"] == fraction) & rows["seed"].isin(seeds) & (rows["perturbed"] == "")]
    splits = pd.read_parquet(run / "splits.parquet").query("role == 'test'")
    scored = pd.read_parquet(run / "predictions.parquet").merge(rows, on="row_id")
    scored = scored.merge(splits, on=["cell_id", "fold", "seed", "fraction"])
    scored["called"] = scored["score"] >= scored["threshold"]
    return scored.groupby("cell_id").agg(
        score=("score", "mean"), called=("called", "mean"), threshold=("threshold", "mean"), fits=("score", "size")
    )


@pytest.mark.parametrize(("fraction", "seed", "seeds"), [(None, None, (0, 1)), (0.5, None, (0, 1)), (0.5, 1, (1,))])
def test_a_cells_score_is_the_mean_over_its_fits(run, fraction, seed, seeds):
    tested = read_tested(run, fraction=fraction, seed=seed)
    table = tested.by_cell().set_index("cell_id")
    expected = by_hand(run, fraction or 1.0, seeds)
    assert tested.fraction == (fraction or 1.0)
    assert len(table) == 168
    pd.testing.assert_frame_equal(
        table[expected.columns].sort_index(), expected, check_dtype=False, check_exact=False, rtol=1e-12
    )


def test_outcomes_follow_label_and_majority(run):
    table = read_tested(run, fraction=0.5).by_cell()
    positive = table["called"] >= 0.5
    assert table["predicted"].tolist() == positive.astype(int).tolist()
    words = {
        "true positive": positive & (table["label"] == 1), "false positive": positive & (table["label"] == 0),
        "missed": ~positive & (table["label"] == 1), "true negative": ~positive & (table["label"] == 0),
    }  # fmt: skip
    for word, cells in words.items():
        assert (table["outcome"] == word).tolist() == cells.tolist()
        assert cells.any()  # the tiny run has every kind


def test_an_official_split_tests_its_test_side_alone(zoo, tmp_path):
    run = mitozoo.evaluate("steady", "tiny-official", out=tmp_path).folder
    table = read_tested(run).by_cell()
    assert sorted(table["slide"].unique()) == ["slide-10", "slide-11", "slide-12", "slide-13"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"fraction": 0.3}, "has no label fraction 0.3\nIt has 1, 0.5."),
        ({"seed": 7}, "has no seed 7 at label fraction 1\nIt has 0, 1."),
    ],
)
def test_rows_that_are_not_there(run, asked, said):
    with pytest.raises(DataError) as caught:
        read_tested(run, **asked)
    assert said in str(caught.value)


def test_files_that_are_not_the_recorded_ones(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    cells = pd.read_parquet(copy / "cells.parquet")
    cells["label"] = 1 - cells["label"]
    cells.to_parquet(copy / "cells.parquet")
    with pytest.raises(VerificationError, match=r"cells.parquet has another sha256"):
        read_tested(copy)
    (copy / "predictions.parquet").unlink()
    (copy / "cells.parquet").write_bytes((run / "cells.parquet").read_bytes())
    with pytest.raises(StorageError, match=r"predictions.parquet is missing"):
        read_tested(copy)
    document = json.loads((copy / "result.json").read_text())
    del document["scores"]
    (copy / "result.json").write_text(json.dumps(document))
    with pytest.raises(VerificationError, match=r"breaks its schema"):
        read_tested(copy)


def test_a_run_that_could_fit_nothing(zoo, tmp_path):
    run = mitozoo.evaluate("steady", "tiny", out=tmp_path, fractions=(0.001,), folds=1).folder
    with pytest.raises(DataError, match=r"has scored no cell"):
        read_tested(run)
