"""The axes of a run: domains left out, other datasets, noise, stain, perturbed cells; verified, and refused."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from tiny_zoo import copy_of

import mitozoo
from mitozoo.embeddings.table import EmbeddingTable, write_embeddings
from mitozoo.engine.request import Request
from mitozoo.engine.verification import verify_run
from mitozoo.errors import MitozooError, ProtocolError, SplitError, UnknownNameError, VerificationError
from mitozoo.results import verify
from mitozoo.results.cell_columns import CellColumns
from mitozoo.results.conditions import Conditions
from mitozoo.results.run_folder import RESULT, RunFolder, dump, read_document
from mitozoo.results.schema import violations
from mitozoo.results.tables import CELLS, KEPT, read_table


def checked(result):
    assert violations(result.document) == []
    assert verify_run(result.folder)
    return result


@pytest.fixture
def planted(zoo, tmp_path):
    """Return a table and embeddings of cells in three tumours, of which 'odd' is told by a feature of its own."""
    random = np.random.RandomState(0)
    cells, vectors = [], []
    for tumour in ("breast", "lung", "odd"):
        for case in range(6 if tumour == "odd" else 16):
            for cell in range(12):
                label = cell % 3 == 0
                name = f"{tumour}-{case}"
                cells.append([f"{name}-{cell}", name, name, 10 * cell, 5, int(label), tumour, "A"])
                told = 2.0 * label - 1 + random.normal(0, 0.8)
                vectors.append([random.normal(), told] if tumour == "odd" else [told, random.normal()])
    table = tmp_path / "cells.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["cell_id", "slide", "case", "x", "y", "label", "tumour", "scanner"])
        rows.writerows(cells)
    path = tmp_path / "planted.safetensors"
    write_embeddings(path, EmbeddingTable([row[0] for row in cells], np.array(vectors, dtype=np.float32), {}))
    return {"dataset": str(table), "embeddings": path, "out": tmp_path / "runs"}


def test_a_planted_domain_gap_shows(planted):
    found = checked(mitozoo.evaluate(**planted, split="leave-one-domain-out", domain="tumour")).document
    by_value = {entry["value"]: entry for entry in found["by_domain"] if entry["domain"] == "tumour"}
    assert by_value["odd"]["metrics"]["auroc"]["mean"] < 0.65
    assert by_value["breast"]["metrics"]["auroc"]["mean"] > 0.8
    assert {name: (entry["groups"], entry["cells"]) for name, entry in by_value.items()} == {
        "breast": (16, 192), "lung": (16, 192), "odd": (6, 72),
    }  # fmt: skip
    gaps = {entry["left_out"]: entry["gap"]["auroc"] for entry in found["domain_gap"]}
    assert set(gaps) == {"tumour=breast", "tumour=lung", "tumour=odd"}
    assert gaps["tumour=odd"]["ci_low"] > 0  # having seen other cases of it is worth something there
    assert gaps["tumour=odd"]["value"] > gaps["tumour=breast"]["value"]
    assert "split leave-one-domain-out by tumour" in found["marks"]
    plain = mitozoo.evaluate(**planted).document
    assert plain["protocol"]["hash"] == found["protocol"]["hash"]  # an axis never changes it
    assert plain["run_id"] != found["run_id"]


def test_single_domain_training_fills_the_matrix(planted):
    found = checked(mitozoo.evaluate(**planted, split="single-domain", domain="tumour")).document
    matrix = {
        (entry["trained_on"], entry["value"]): entry["metrics"]["auroc"]["mean"]
        for entry in found["by_domain"]
        if entry["domain"] == "tumour"
    }
    assert len(matrix) == 9
    assert matrix["tumour=odd", "odd"] > 0.8
    assert matrix["tumour=breast", "lung"] > 0.8
    assert 0.3 < matrix["tumour=breast", "odd"] < 0.7
    assert len({entry["fold"] for entry in found["scores"]}) == 15


def test_the_first_folds_bring_their_references_along(planted):
    found = checked(mitozoo.evaluate(**planted, split="leave-one-domain-out", domain="tumour", folds=1)).document
    assert [entry["left_out"] for entry in found["domain_gap"]] == ["tumour=breast"]
    assert "1 of 3 folds" in found["marks"]


def test_flipped_training_labels_cost_and_are_repeated_by_verify(planted):
    clean = mitozoo.evaluate(**planted, split="grouped").mean()
    noisy = checked(mitozoo.evaluate(**planted, split="grouped", label_noise=0.45, seeds=2))
    assert noisy.mean() < clean
    assert "45 % of training labels flipped" in ", ".join(noisy.document["marks"])
    own = read_document(noisy.folder / RESULT)
    own["conditions"]["label_noise"] = 0.1
    (noisy.folder / RESULT).write_text(dump(own))
    with pytest.raises(VerificationError):
        verify_run(noisy.folder)


def test_perturbed_test_cells_are_scored_by_the_same_fits(zoo, tmp_path):
    def run(**further):
        return mitozoo.evaluate("steady", "tiny", out=tmp_path, folds=2, **further)

    plain = run()
    before = {row["row_id"]: row for row in plain.document["scores"]}
    found = checked(run(perturb=("rotation", "blur=0.05"))).document
    assert found["run_id"] == plain.document["run_id"]  # rows were added to the same run
    assert len(found["scores"]) == 6
    untouched = {row["row_id"]: row for row in found["scores"] if not row["perturbed"]}
    assert untouched == before
    turned, blurred = (
        next(entry for entry in found["perturbed"] if entry["perturbed"] == name)
        for name in ("rotation=90", "blur=0.05")
    )
    assert turned["metrics"]["auroc"]["mean"] < 0.4  # upright bars are lying ones now
    assert turned["difference"]["auroc"]["value"] < -0.4
    assert abs(blurred["difference"]["auroc"]["value"]) < 0.05
    assert found["summary"] == plain.document["summary"]
    table = read_table(plain.folder / CELLS, KEPT)
    cells = CellColumns.of(table, Conditions.of(found))
    rows = [replace(row, threshold=0.123) if row.axes.perturbed else row for row in RunFolder(plain.folder).rows()]
    with pytest.raises(VerificationError, match="threshold of fold0-seed0-fraction1-"):
        verify._check_splits(cells, table, rows, found)  # a perturbed row cannot choose a threshold of its own


@pytest.mark.parametrize("protocol", ["end-to-end-short", "ammeling2026-end-to-end-grouped"])
def test_a_trained_network_scores_perturbed_cells_later_without_being_trained_again(zoo, tmp_path, protocol):
    epochs = {"epochs": 2} | ({} if protocol == "end-to-end-short" else {"pseudo_epoch": 32})
    asked = {"model": "steady", "dataset": "tiny", "folds": 1, "protocol": protocol, "settings": epochs}
    at_once = checked(mitozoo.evaluate(**asked, perturb=("rotation=90", "jpeg"), out=tmp_path / "once")).document
    assert [entry["perturbed"] for entry in at_once["perturbed"]] == ["jpeg=30", "rotation=90"]
    assert at_once["perturbed"][1]["difference"]["auroc"]["value"] is not None
    mitozoo.evaluate(**asked, out=tmp_path / "later")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mitozoo.protocols.training.Training.run", None)  # whoever trains fails
        later = checked(mitozoo.evaluate(**asked, perturb=("rotation=90", "jpeg"), out=tmp_path / "later")).document
    assert later == at_once


def test_another_dataset_is_tested_and_shared_names_are_kept_apart(zoo, tmp_path, monkeypatch):
    found = checked(
        mitozoo.evaluate("steady", "tiny", out=tmp_path / "runs", test_on=("tiny-few", "tiny-official"))
    ).document
    assert found["dataset"]["name"] == "tiny-and-tiny-few-and-tiny-official"
    assert [fold["name"] for fold in found["folds"]] == ["dataset=tiny-few", "dataset=tiny-official"]
    assert {entry["value"] for entry in found["by_domain"] if entry["domain"] == "dataset"} == {
        "tiny-few",
        "tiny-official",
    }
    assert [row["n_train"] for row in found["scores"]] == [168, 168]
    assert [row["n_test"] for row in found["scores"]] == [36, 168]


def test_crops_and_stain_change_the_run_and_no_hash(zoo, tmp_path):
    plain = mitozoo.evaluate("steady", "tiny", out=tmp_path, folds=1).document
    crop = checked(mitozoo.evaluate("steady", "tiny", out=tmp_path, folds=1, crop_um=32.0)).document
    stain = checked(mitozoo.evaluate("steady", "tiny", out=tmp_path, folds=1, stain="reinhard")).document
    assert crop["geometry"]["seen_um"]["max"] == 32
    assert len({run["run_id"] for run in (plain, crop, stain)}) == 3
    assert len({run["protocol"]["hash"] for run in (plain, crop, stain)}) == 1
    assert stain["scores"][0]["metrics"] != plain["scores"][0]["metrics"]


def test_annotations_drawn_at_random_are_said_to_leak(zoo, tmp_path):
    found = checked(mitozoo.evaluate("steady", "tiny", out=tmp_path, settings={"split": "random"})).document
    assert "THIS SPLIT LEAKS: annotations of one case on both sides" in found["marks"]
    assert max(fold["groups_on_both_sides"] for fold in found["audit"]["folds"]) > 5
    twin = checked(mitozoo.evaluate("steady", "tiny", out=tmp_path, settings={"split": "grouped-draws"})).document
    assert max(fold["groups_on_both_sides"] for fold in twin["audit"]["folds"]) == 0


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"split": "leave-one-domain-out"}, SplitError, "goes by a domain"),
        ({"split": "leave-one-domain-out", "domain": "planet"}, SplitError, "has no domain 'planet'"),
        ({"domain": "scanner"}, SplitError, "goes by none"),
        ({"label_noise": 0.5}, ProtocolError, "below 0.5"),
        ({"crop_um": 2}, ProtocolError, "between 4 and 1000"),
        ({"stain": "ink"}, ProtocolError, "must be one of"),
        ({"perturb": ("warp",)}, UnknownNameError, "no perturbation 'warp'"),
        ({"perturb": ("jpeg=0",)}, ProtocolError, "between 1 and 95"),
        ({"test_on": ("tiny",)}, SplitError, "on itself"),
        ({"test_on": ("nothing",)}, UnknownNameError, "nothing"),
        ({"test_data": {"tiny-few": "x"}}, ProtocolError, "does not"),
        ({"test_on": ("tiny-few",), "split": "grouped"}, ProtocolError, "Leave one out|no --split"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_computed(zoo, tmp_path, loads, asked, error, words):
    with pytest.raises(error, match=words):
        mitozoo.evaluate("steady", "tiny", out=tmp_path, **asked)
    assert loads() == 0


def test_brought_embeddings_cannot_be_perturbed(planted):
    with pytest.raises(MitozooError, match="come without any"):
        mitozoo.evaluate(**planted, perturb=("blur",))


def test_a_folder_per_tested_dataset(zoo, tmp_path):
    data = copy_of(zoo, tmp_path / "data")
    request = Request("steady", "tiny", test_on=("tiny-few",), test_data={"tiny-few": str(data)})
    assert request.conditions.trained_on == "tiny"
    found = mitozoo.evaluate("steady", "tiny-official", test_on=("tiny",), test_data={"tiny": data}, out=tmp_path / "r")
    assert found.document["scores"][0]["n_test"] == 168


def test_relatives_whose_shared_cases_nothing_tells_are_tested_only_where_that_is_forced(zoo, tmp_path):
    with pytest.raises(SplitError, match="no crosswalk tells") as refused:
        mitozoo.evaluate("steady", "tiny", test_on=("tiny-child",), out=tmp_path)
    assert "--despite-shared-cases" in str(refused.value.hint)
    found = checked(
        mitozoo.evaluate("steady", "tiny", test_on=("tiny-child",), out=tmp_path, despite_shared_cases=True)
    ).document
    assert "THIS SPLIT LEAKS: test cases may have been trained on" in found["marks"]
    assert found["dataset"]["shared_cells_left_out"] is None
