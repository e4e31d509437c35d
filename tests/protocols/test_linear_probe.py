"""The linear probe: what it may learn from, and that its choices are those of the plain way through scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mitozoo.data.splits import inner_folds, outer_folds
from mitozoo.errors import DataError
from mitozoo.protocols import design, held_out, linear_probe, logistic
from mitozoo.protocols.linear_probe import LinearProbe, fit_linear_probe
from mitozoo.statistics.metrics import best_threshold


def probe(**changes):
    return LinearProbe(name="probe", version=1, title="", **changes)


def dataset(n=300, d=12, groups=30, signal=1.0, seed=0):
    """Embeddings with some signal, and a shift of each group that is worth nothing elsewhere."""
    random = np.random.default_rng(seed)
    group = np.arange(n) % groups
    labels = (random.random(n) < 0.35).astype(np.int8)
    embeddings = random.normal(size=(n, d)) + 0.5 * random.normal(size=(groups, d))[group]
    embeddings[:, :3] += signal * labels[:, None]
    return embeddings.astype(np.float32), labels, np.array([f"slide-{index:02}" for index in group])


def first_fold(labels, groups):
    return outer_folds(labels, groups, np.full(len(labels), ""), recipe="auto", folds=5, seed=0)[0]


def fit(embeddings, labels, groups, protocol=None):
    fold = first_fold(labels, groups)
    return fit_linear_probe(protocol or probe(), embeddings, labels, groups, fold.train, fold.test)


def plain_probe(embeddings, labels, groups, protocol):
    """The same choices by scikit-learn, one fit after another: lambda, threshold, validation and test scores."""
    fold = first_fold(labels, groups)
    parts = inner_folds(labels, groups, fold.train, folds=protocol.inner_folds, seed=protocol.split_seed)
    truth = labels[np.concatenate(parts)]
    best, worse = (np.inf, None, None), 0
    for penalty in sorted(protocol.lambdas, reverse=True):
        rests = [np.setdiff1d(fold.train, part) for part in parts]
        held_out = [
            sklearn_probe(penalty, embeddings[rest], labels[rest]).predict_proba(embeddings[part])[:, 1]
            for rest, part in zip(rests, parts, strict=True)
        ]
        loss = log_loss(truth, np.concatenate(held_out))
        worse = worse + 1 if loss >= best[0] - 1e-12 else 0
        if not worse:
            best = loss, penalty, np.concatenate(held_out)
        if worse == protocol.give_up_after:
            break
    refit = sklearn_probe(best[1], embeddings[fold.train], labels[fold.train])
    return best[1], best_threshold(best[2], truth), best[2], refit.predict_proba(embeddings[fold.test])[:, 1]


def sklearn_probe(penalty, embeddings, labels):
    regression = LogisticRegression(C=1 / (penalty * len(labels)), tol=1e-10, max_iter=100_000)
    return make_pipeline(StandardScaler(), regression).fit(embeddings.astype(np.float64), labels)


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        ({}, {}),
        ({"signal": 0.0}, {}),
        ({"n": 60, "d": 80, "groups": 20}, {"lambdas": (1e-3, 0.1, 1.0, 10.0, 100.0)}),
        ({"signal": 3.0, "n": 150}, {"lambdas": (1e-4, 1e-3, 1e-2, 0.1, 1.0)}),
        ({}, {"give_up_after": 1, "inner_folds": 3, "split_seed": 7}),
        ({"seed": 4}, {"give_up_after": 9, "lambdas": (1e-3, 0.1, 10.0)}),
    ],
)
def test_its_choices_are_those_of_scikit_learn(data, settings):
    embeddings, labels, groups = dataset(**data)
    protocol = probe(**settings)
    prediction = fit(embeddings, labels, groups, protocol)
    penalty, threshold, validation_scores, test_scores = plain_probe(embeddings, labels, groups, protocol)
    assert prediction.converged
    assert prediction.selected == {"lambda": penalty}
    assert prediction.threshold == pytest.approx(threshold, abs=1e-4)
    np.testing.assert_allclose(prediction.validation_scores, validation_scores, atol=1e-4)
    np.testing.assert_allclose(prediction.test_scores, test_scores, atol=1e-4)


def test_very_many_cells_are_taken_some_at_a_time(monkeypatch):
    whole = fit(*dataset())
    monkeypatch.setattr(design, "HELD_VALUES", 0)
    monkeypatch.setattr(design, "BLOCK_VALUES", 700)
    monkeypatch.setattr(held_out, "BLOCK", 37)
    parted = fit(*dataset())
    assert parted.selected == whole.selected
    assert parted.threshold == pytest.approx(whole.threshold, abs=1e-7)
    np.testing.assert_allclose(parted.test_scores, whole.test_scores, atol=1e-7)
    np.testing.assert_allclose(parted.validation_scores, whole.validation_scores, atol=1e-7)


def test_embeddings_that_lie_on_the_device_give_the_same():
    embeddings, labels, groups = dataset()
    whole, there = fit(embeddings, labels, groups), fit(torch.from_numpy(embeddings), labels, groups)
    assert there.selected == whole.selected
    assert there.threshold == whole.threshold
    np.testing.assert_array_equal(there.validation_scores, whole.validation_scores)
    np.testing.assert_allclose(there.test_scores, whole.test_scores, rtol=1e-12)


def test_the_saved_head_gives_the_scores():
    embeddings, labels, groups = dataset()
    prediction = fit(embeddings, labels, groups)
    test = first_fold(labels, groups).test
    margins = embeddings[test].astype(np.float64) @ prediction.tensors["weight"] + prediction.tensors["bias"]
    np.testing.assert_allclose(1 / (1 + np.exp(-margins)), prediction.test_scores, rtol=1e-12)


def test_labels_of_test_cells_change_nothing():
    embeddings, labels, groups = dataset()
    fold = first_fold(labels, groups)
    once = fit_linear_probe(probe(), embeddings, labels, groups, fold.train, fold.test)
    permuted = labels.copy()
    permuted[fold.test] = np.random.default_rng(0).permutation(labels[fold.test])
    assert not np.array_equal(permuted, labels)
    again = fit_linear_probe(probe(), embeddings, permuted, groups, fold.train, fold.test)
    assert again.selected == once.selected
    assert again.threshold == once.threshold
    assert np.array_equal(again.test_scores, once.test_scores)


@pytest.mark.parametrize("seed", range(3))
def test_cells_that_are_there_twice_leave_lambda_and_scores(seed):
    embeddings, labels, groups = dataset(seed=seed)
    fold = first_fold(labels, groups)
    once = fit_linear_probe(probe(), embeddings, labels, groups, fold.train, fold.test)
    twice = np.concatenate([np.arange(len(labels)), fold.train])
    doubled = fit_linear_probe(
        probe(), embeddings[twice], labels[twice], groups[twice],
        np.concatenate([fold.train, np.arange(len(labels), len(twice))]), fold.test,
    )  # fmt: skip
    assert doubled.selected == once.selected
    assert doubled.threshold == pytest.approx(once.threshold, abs=1e-6)
    np.testing.assert_allclose(doubled.test_scores, once.test_scores, atol=1e-6)


def test_shuffled_training_labels_teach_nothing():
    embeddings, labels, groups = dataset(n=500, d=30, groups=50)
    folds = outer_folds(labels, groups, np.full(len(labels), ""), recipe="auto", folds=5, seed=0)
    true, shuffled = [], []
    for fold in folds:
        prediction = fit_linear_probe(probe(), embeddings, labels, groups, fold.train, fold.test)
        true.append(roc_auc_score(labels[fold.test], prediction.test_scores))
        for seed in range(8):
            mixed = labels.copy()
            mixed[fold.train] = np.random.default_rng(seed).permutation(labels[fold.train])
            prediction = fit_linear_probe(probe(), embeddings, mixed, groups, fold.train, fold.test)
            shuffled.append(roc_auc_score(labels[fold.test], prediction.test_scores))
    assert np.mean(true) > 0.75
    assert np.mean(shuffled) == pytest.approx(0.5, abs=0.03)


def test_features_are_standardised_inside_each_inner_fold():
    """A unit that fires on one slide only must not reach the folds that never saw it fire."""
    embeddings, labels, groups = dataset(n=120, d=6, groups=12)
    embeddings[:, 0] = np.where(groups == groups[first_fold(labels, groups).train[0]], 50.0, 0.0)
    prediction = fit(embeddings, labels, groups)
    _, _, validation_scores, test_scores = plain_probe(embeddings, labels, groups, probe())
    np.testing.assert_allclose(prediction.validation_scores, validation_scores, atol=1e-4)
    np.testing.assert_allclose(prediction.test_scores, test_scores, atol=1e-4)


def test_the_unit_of_the_embeddings_changes_nothing():
    embeddings, labels, groups = dataset()
    once = fit(embeddings, labels, groups)
    other = fit(embeddings * np.float32(2**10) + np.float32(8), labels, groups)
    assert other.selected == once.selected
    np.testing.assert_allclose(other.test_scores, once.test_scores, atol=1e-4)


# What a careful reader should know


def test_a_choice_at_the_edge_of_the_grid_is_flagged():
    embeddings, labels, groups = dataset()
    assert "lambda at the edge of its grid" not in fit(embeddings, labels, groups).flags
    for lambdas in ((1e4, 1e5), (1e-5, 1e-3)):
        assert "lambda at the edge of its grid" in fit(embeddings, labels, groups, probe(lambdas=lambdas)).flags


def test_ties_go_to_the_stronger_penalty():
    embeddings, labels, groups = dataset(n=80, d=3, groups=10)
    embeddings[:] = 0  # every penalty gives the prevalence
    assert fit(embeddings, labels, groups).selected == {"lambda": 1000.0}


def test_fewer_groups_make_fewer_inner_folds_and_say_so():
    embeddings, labels, _ = dataset(n=100)
    groups = np.array([f"slide-{index % 4}" for index in range(100)])
    train, test = np.flatnonzero(groups != "slide-3"), np.flatnonzero(groups == "slide-3")
    prediction = fit_linear_probe(probe(), embeddings, labels, groups, train, test)
    assert len(prediction.inner_parts) == 3
    assert "3 inner folds instead of 5" in prediction.flags


def test_too_few_groups_fix_lambda_and_threshold_and_say_so():
    embeddings, labels, _ = dataset(n=60)
    groups = np.where(np.arange(60) < 45, "one", "other")
    train, test = np.arange(45), np.arange(45, 60)
    prediction = fit_linear_probe(probe(fixed_lambda=2.0), embeddings, labels, groups, train, test)
    assert prediction.selected == {"lambda": 2.0}
    assert prediction.threshold == 0.5
    assert prediction.inner_parts == ()
    assert len(prediction.validation_scores) == 0
    assert any("lambda fixed at 2, threshold at 0.5" in flag for flag in prediction.flags)
    expected = sklearn_probe(2.0, embeddings[train], labels[train]).predict_proba(embeddings[test])[:, 1]
    np.testing.assert_allclose(prediction.test_scores, expected, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(80, 400), d=st.integers(2, 150), signal=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    scale=st.sampled_from([0.1, 1.0]), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_penalties_that_are_left_once_they_have_lost_would_have_lost(n, d, signal, scale, seed):
    data = dataset(n, d, groups=12, signal=signal, seed=seed)
    embeddings = data[0] * np.geomspace(scale, 1, data[0].shape[1], dtype=np.float32)
    quick = fit(embeddings, *data[1:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_probe, "LOST", np.inf)
        thorough = fit(embeddings, *data[1:])
    assert quick.selected == thorough.selected
    assert quick.threshold == pytest.approx(thorough.threshold, abs=1e-9)
    np.testing.assert_allclose(quick.test_scores, thorough.test_scores, atol=1e-6)
    np.testing.assert_array_equal(quick.validation_scores, thorough.validation_scores)


def test_a_solver_that_is_stopped_says_so(monkeypatch):
    embeddings, labels, groups = dataset()
    monkeypatch.setattr(logistic, "MAX_NEWTON_STEPS", 1)
    prediction = fit(embeddings, labels, groups)
    assert not prediction.converged
    assert "solver did not converge" in prediction.flags


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["train", "test"])
def test_embeddings_that_are_no_numbers_are_refused(value, side):
    embeddings, labels, groups = dataset()
    embeddings[getattr(first_fold(labels, groups), side)[3], 2] = value
    for same in (embeddings, torch.from_numpy(embeddings)):
        with pytest.raises(DataError, match="not finite"):
            fit(same, labels, groups)
