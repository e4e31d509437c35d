"""Votes and counts in a result: a model that copies an expert is that expert, and forged parts are found."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import mitozoo
from mitozoo.data.splits import Fold
from mitozoo.embeddings.table import EmbeddingTable, write_embeddings
from mitozoo.engine.verification import verify_run
from mitozoo.errors import VerificationError
from mitozoo.results.beside import count_line, expert_tables
from mitozoo.results.cell_columns import CellColumns
from mitozoo.results.pathologists import pathologists_parts
from mitozoo.results.row import DONE, Axes, ResultRow
from mitozoo.results.run_folder import RESULT, dump

EXPERTS = 3
STATED = {"positive_class": "mitotic figure", "voters": EXPERTS, "independent_votes": True, "region_mm2": 2.0}


@pytest.fixture(scope="module")
def voted() -> tuple[CellColumns, np.ndarray, list[Fold]]:
    """Return 480 cells on 40 slides, three votes on each, and two folds of whole slides."""
    rng = np.random.default_rng(0)
    slides = np.repeat([f"slide{n:02}" for n in range(40)], 12)
    truth = rng.random((480, 1)) < 0.4
    votes = (truth != (rng.random((480, EXPERTS)) < [0.05, 0.15, 0.25])).astype(int)
    labels = (votes.sum(axis=1) >= 2).astype(np.int8)
    even = np.repeat(np.arange(40) % 2 == 0, 12)
    folds = [Fold(n, np.flatnonzero(even == (n == 0)), np.flatnonzero(even != (n == 0))) for n in (0, 1)]
    return CellColumns(labels, slides, slides, {}, np.where(labels == 1, "", "hard")), votes, folds


def rows_of(scores, folds, seeds=1, threshold=0.5):
    return [
        ResultRow(Axes(fold.index, seed, 1.0), DONE, train=fold.train, test=fold.test,
                  test_scores=np.asarray(scores, float)[fold.test], threshold=threshold)
        for seed in range(seeds) for fold in folds
    ]  # fmt: skip


def parts(voted, scores, stated=STATED, votes=None, **further):
    cells, own, folds = voted
    listed = pd.Series([list(map(int, of_cell)) for of_cell in (own if votes is None else votes)])
    return pathologists_parts(cells, listed, folds, rows_of(scores, folds, **further), stated)


@pytest.mark.parametrize("expert", range(EXPERTS))
def test_a_model_that_copies_an_expert_is_that_expert(voted, expert):
    found = parts(voted, voted[1][:, expert])["experts"]
    assert found["n_experts"] == EXPERTS
    entry = found["against_others"][expert]
    for rule in ("ties_half", "ties_dropped"):
        assert entry[rule]["model"] == entry[rule]["expert"]
    other = found["against_others"][(expert + 1) % EXPERTS]
    assert other["ties_half"]["model"] != other["ties_half"]["expert"]
    assert "ceiling" not in json.dumps(found)


def test_more_sure_cells_are_scored_better(voted):
    chance = 0.2 + 0.6 * voted[1].mean(axis=1) + 0.1 * np.random.default_rng(1).random(480)
    found = parts(voted, chance, seeds=2)
    split, sure = found["agreement"]
    assert (split["agree"], split["of"], sure["agree"], sure["of"]) == (2, 3, 3, 3)
    assert split["cells"] + sure["cells"] == 480
    assert split["metrics"]["brier"]["mean"] > sure["metrics"]["brier"]["mean"]
    assert found["experts"]["soft_labels"]["log_loss"] > found["experts"]["soft_labels"]["log_loss_floor"] > 0


def test_votes_that_are_not_independent_give_strata_alone(voted):
    found = parts(voted, voted[0].labels, STATED | {"independent_votes": False})
    assert found["experts"] is None
    assert len(found["agreement"]) == 2


def test_a_dataset_without_votes_has_neither(voted):
    found = parts(voted, voted[0].labels, votes=[[]] * 480)
    assert found["agreement"] is found["experts"] is None
    assert found["candidate_count"]["area_mm2"] == 2


def test_cells_that_not_all_voted_on_are_in_no_reference(voted):
    votes = [of_cell[:2] if number % 5 == 0 else of_cell for number, of_cell in enumerate(voted[1])]
    found = parts(voted, voted[0].labels, votes=votes)
    assert found["experts"]["cells"] == 480 - 96
    assert {entry["of"] for entry in found["agreement"]} == {2, 3}


def test_the_count_of_perfect_scores_has_no_bias(voted):
    counted = parts(voted, voted[0].labels)["candidate_count"]
    assert "best case: only annotated candidates were classified" in counted["note"]
    assert counted["true"]["regions"] == 40
    assert counted["true"]["total"] == voted[0].labels.sum()
    for counter in counted["counters"].values():
        assert counter == pytest.approx({"bias": 0, "limit_low": 0, "limit_high": 0}, abs=1e-12)
    assert (
        parts(voted, voted[0].labels, STATED | {"positive_class": "atypical mitotic figure"})["candidate_count"] is None
    )
    timid = parts(voted, voted[0].labels, threshold=2.0)["candidate_count"]["counters"]
    assert timid["thresholded"]["bias"] < -1
    assert timid["summed"]["bias"] == pytest.approx(0, abs=1e-12)


def test_a_slide_half_in_train_is_not_counted(voted):
    cells, votes, [fold, _] = voted
    divided = Fold(0, np.append(fold.train, fold.test[0]), fold.test[1:])
    found = parts((cells, votes, [divided]), cells.labels)["candidate_count"]
    assert "1 regions are only tested in part" in found["refused"]


def test_nothing_tested_is_nothing_said(voted):
    cells, votes, folds = voted
    rows = [ResultRow(Axes(0, 0, 1.0), "skipped", "too few")]
    found = pathologists_parts(cells, pd.Series(list(map(list, votes))), folds, rows, STATED)
    assert found == {"agreement": None, "experts": None, "candidate_count": None}


@pytest.mark.shared
def test_real_votes_are_kept_and_verified(shared_data, tmp_path, fresh_registry):
    from mitozoo.data.cells import read_cells
    from mitozoo.plugins.registry import load_registry

    cells = read_cells(load_registry().dataset("ami-br").spec, shared_data / "ami-br").table
    first = np.array([votes[0] for votes in cells["votes"]], dtype=np.float32)
    noise = np.random.default_rng(0).normal(0, 0.01, (len(cells), 2)).astype(np.float32)
    write_embeddings(tmp_path / "e.parquet", EmbeddingTable(list(cells["cell_id"]), first[:, None] + noise, {}))
    run = mitozoo.evaluate(
        embeddings=tmp_path / "e.parquet", dataset="ami-br", data=shared_data / "ami-br", out=tmp_path / "runs",
        limit=900, folds=2,
    )  # fmt: skip
    experts = run.document["experts"]
    entry = experts["against_others"][0]["ties_half"]
    assert entry["model"]["balanced_accuracy"] == entry["expert"]["balanced_accuracy"]
    assert 0.4 < experts["fleiss_kappa"] < 0.7
    verify_run(run.folder)
    document = json.loads((run.folder / RESULT).read_text())
    document["experts"]["fleiss_kappa"] = 0.9
    assert document["candidate_count"] is None  # the dataset tells atypical figures from normal ones
    (run.folder / RESULT).write_text(dump(document))
    with pytest.raises(VerificationError, match=r"experts\.fleiss_kappa is recorded as 0\.9"):
        verify_run(run.folder)


def test_what_a_person_reads_of_them(voted):
    found = parts(voted, voted[1][:, 0])
    (title, headers, rows), (_, _, strata) = expert_tables(found)
    assert title.startswith("balanced accuracy against the other experts (Fleiss' kappa 0.")
    assert [len(row) for row in rows] == [len(headers)] * EXPERTS
    assert rows[0][2] == rows[0][3] != rows[1][3]
    assert [row[0] for row in strata] == ["2 of 3", "3 of 3"]
    [line] = count_line(found)
    assert "best case: only annotated candidates were classified" in line
    assert "in 40 regions of 2 mm2" in line
    assert count_line({"candidate_count": {"note": "", "refused": "half in train"}}) == [
        "no candidate count: half in train"
    ]
    assert expert_tables({}) == count_line({}) == []
