"""The main job on real histology: what the issue's numbers must be, on all 3,720 crops."""

from __future__ import annotations

import numpy as np
import pytest

from mitozoo.data.cells import read_cells
from mitozoo.data.splits import outer_folds
from mitozoo.embeddings.extract import embed
from mitozoo.embeddings.store import EmbeddingKey, EmbeddingStore
from mitozoo.engine.evaluate import evaluate
from mitozoo.plugins.registry import load_registry
from mitozoo.protocols.linear_probe import fit_linear_probe
from mitozoo.protocols.presets import find_protocol
from mitozoo.results.verify import verify
from mitozoo.statistics.metrics import compute

pytestmark = [pytest.mark.shared, pytest.mark.slow]


@pytest.fixture(scope="module")
def ami_br(shared_data):
    return shared_data / "ami-br"


@pytest.fixture(scope="module")
def result(ami_br, tmp_path_factory):
    return evaluate("efficientnet-lite0", "ami-br", data=ami_br, out=tmp_path_factory.mktemp("runs"))


def test_all_crops_are_split_by_slide_and_scored_once(result):
    document = result.document
    assert document["dataset"]["cells"] == 3720
    assert document["dataset"]["groups"] == 202
    assert document["dataset"]["classes"]["positive"]["cells"] == 832
    assert sum(entry["n_test"] for entry in document["scores"]) == 3720
    assert all(fold["groups_on_both_sides"] == 0 for fold in document["audit"]["folds"])
    assert all(fold["overlapping_crops_across_sides"] == 0 for fold in document["audit"]["folds"])


def test_the_score_is_what_other_code_found(result):
    auroc = result.document["summary"][0]["metrics"]["auroc"]
    assert 0.60 <= auroc["mean"] <= 0.78
    assert auroc["ci_low"] < auroc["mean"] < auroc["ci_high"]


def test_priors_know_nothing_and_the_oracle_knows_the_slide(result):
    controls = result.document["controls"]
    assert controls["slide_prior"]["auroc"]["mean"] == pytest.approx(0.5, abs=0.02)
    assert controls["domain_prior:source"]["auroc"]["mean"] == pytest.approx(0.5, abs=0.05)
    assert controls["test_slide_rate"]["auroc"]["mean"] == pytest.approx(0.72, abs=0.03)
    assert controls["test_slide_rate"]["within_slide_auroc"]["mean"] == 0.5
    assert controls["test_slide_rate"]["oracle"]


def test_what_was_seen_is_recorded(result):
    geometry = result.document["geometry"]
    assert geometry["window_um"] is None
    assert geometry["seen_um"]["min"] == pytest.approx(128 * 0.23)
    assert geometry["seen_um"]["max"] == pytest.approx(128 * 0.25)


def test_its_numbers_can_be_recomputed(result):
    assert verify(result.folder)


def test_shuffled_training_labels_give_chance(result, ami_br):
    """Over the five folds and three shuffles, on the very embeddings of the run."""
    model = load_registry().model("efficientnet-lite0").spec
    cells = read_cells(load_registry().dataset("ami-br").spec, ami_br)
    vectors = cached_vectors(model, cells)
    labels, groups, slides = cells.labels, cells.groups, cells.table["slide"].to_numpy()
    protocol = find_protocol("linear-probe")
    aurocs = []
    for fold in outer_folds(labels, groups, np.full(len(cells), ""), recipe="auto", folds=5, seed=protocol.split_seed):
        for seed in range(3):
            shuffled = labels.copy()
            shuffled[fold.train] = np.random.default_rng(seed).permutation(labels[fold.train])
            scores = fit_linear_probe(protocol, vectors, shuffled, groups, fold.train, fold.test).test_scores
            aurocs.append(compute(scores, labels[fold.test], slides=slides[fold.test], threshold=0.5)["auroc"][0])
    assert np.mean(aurocs) == pytest.approx(0.5, abs=0.03)


def cached_vectors(model, cells):
    from mitozoo.data.geometry import Geometry
    from mitozoo.data.patches import plan_patches
    from mitozoo.models.weights import weights_sha256

    def load():
        raise AssertionError("the run has cached every embedding")

    key = EmbeddingKey(model.name, model.fingerprint(), weights_sha256(model.load), "fp32", model.embed_dim)
    plan = plan_patches(cells, Geometry(None, "reflect"), target_px=model.preprocessing.size)
    return embed(plan, EmbeddingStore(key), load, device="cpu", batch_size=32).vectors
