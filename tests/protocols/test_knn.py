"""Nearest neighbours and class means: those of scikit-learn, and nothing learnt from where nothing may be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from mitozoo.data.splits import inner_folds, outer_folds
from mitozoo.errors import DataError, ProtocolError
from mitozoo.protocols import knn, simpleshot
from mitozoo.protocols.knn import Knn, fit_knn
from mitozoo.protocols.simpleshot import SimpleShot, fit_simpleshot
from mitozoo.protocols.spec import override
from mitozoo.statistics.metrics import best_threshold

KNN = Knn(name="knn", version=1, title="")
SHOT = SimpleShot(name="simpleshot", version=1, title="")
BOTH = pytest.mark.parametrize(("fit", "protocol"), [(fit_knn, KNN), (fit_simpleshot, SHOT)])


def dataset(n=300, d=12, groups=30, signal=1.0, seed=0):
    """Embeddings with some signal, far from the origin as real ones are, shifted a little in each group."""
    random = np.random.default_rng(seed)
    group = np.arange(n) % groups
    labels = (random.random(n) < 0.35).astype(np.int8)
    embeddings = 3 + random.normal(size=(n, d)) + 0.3 * random.normal(size=(groups, d))[group]
    embeddings[:, :3] += signal * labels[:, None]
    return embeddings.astype(np.float32), labels, np.array([f"slide-{index:02}" for index in group])


def first_fold(labels, groups):
    return outer_folds(labels, groups, np.full(len(labels), ""), recipe="auto", folds=5, seed=0)[0]


def on_first_fold(fit, protocol, embeddings, labels, groups):
    fold = first_fold(labels, groups)
    return fit(protocol, embeddings, labels, groups, fold.train, fold.test)


def by_scikit_learn(protocol, k, embeddings, labels, fitted, scored):
    exact = embeddings.astype(np.float64)
    centre = exact[fitted].mean(0) if protocol.centred else 0.0
    neighbours = KNeighborsClassifier(k, metric="cosine").fit(exact[fitted] - centre, labels[fitted])
    share = neighbours.predict_proba(exact[scored] - centre)[:, 1]
    return (share * k + labels[fitted].mean()) / (k + 1)


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        ({}, {}),
        ({}, {"centred": False}),
        ({"signal": 0.0}, {"neighbours": (2, 4, 8, 16)}),
        ({"n": 90, "d": 200, "groups": 9}, {"inner_folds": 3}),
        ({"signal": 4.0, "seed": 2}, {"split_seed": 3}),
    ],
)
def test_its_choices_are_those_of_scikit_learn(data, changes, monkeypatch):
    monkeypatch.setattr(knn, "SIMILARITIES_AT_ONCE", 2000)  # several chunks, the last one smaller
    embeddings, labels, groups = dataset(**data)
    protocol, fold = dataclasses.replace(KNN, **changes), first_fold(labels, groups)
    prediction = on_first_fold(fit_knn, protocol, embeddings, labels, groups)
    parts = inner_folds(labels, groups, fold.train, folds=protocol.inner_folds, seed=protocol.split_seed)
    rests = [np.setdiff1d(fold.train, part) for part in parts]
    truth = labels[np.concatenate(parts)]
    best = np.inf, None, None
    for k in protocol.neighbours:
        if k > min(map(len, rests)):
            continue
        pairs = zip(rests, parts, strict=True)
        held_out = np.concatenate([by_scikit_learn(protocol, k, embeddings, labels, *pair) for pair in pairs])
        if (loss := log_loss(truth, held_out)) <= best[0] + 1e-12:
            best = loss, k, held_out
    _, k, held_out = best
    assert prediction.selected == {"k": k}
    assert all(map(np.array_equal, prediction.inner_parts, parts))
    np.testing.assert_allclose(prediction.validation_scores, held_out, rtol=1e-12)
    assert prediction.threshold == pytest.approx(best_threshold(held_out, truth))
    expected = by_scikit_learn(protocol, k, embeddings, labels, fold.train, fold.test)
    np.testing.assert_allclose(prediction.test_scores, expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_nearer_mean_is_scikit_learns_nearest_centroid(seed, monkeypatch):
    monkeypatch.setattr(simpleshot, "ROWS_AT_ONCE", 7)
    embeddings, labels, groups = dataset(seed=seed)
    fold = first_fold(labels, groups)
    prediction = on_first_fold(fit_simpleshot, SHOT, embeddings, labels, groups)
    centred = embeddings.astype(np.float64) - embeddings[fold.train].mean(0, dtype=np.float64)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    nearest = NearestCentroid().fit(unit[fold.train], labels[fold.train])
    assert np.array_equal(prediction.test_scores > 0.5, nearest.predict(unit[fold.test]) == 1)
    distances = np.linalg.norm(unit[fold.test][:, None] - nearest.centroids_[None], axis=2)
    expected = 1 / (1 + np.exp(-10 * (distances[:, 0] - distances[:, 1])))
    np.testing.assert_allclose(prediction.test_scores, expected, rtol=1e-4)
    np.testing.assert_allclose(prediction.tensors["means"], nearest.centroids_, atol=1e-6)


def test_held_out_means_never_saw_the_held_out_cells():
    embeddings, labels, groups = dataset()
    prediction = on_first_fold(fit_simpleshot, SHOT, embeddings, labels, groups)
    fold, [part, *_] = first_fold(labels, groups), prediction.inner_parts
    alone = fit_simpleshot(SHOT, embeddings, labels, groups, np.setdiff1d(fold.train, part), part)
    assert np.array_equal(prediction.validation_scores[: len(part)], alone.test_scores)
    assert prediction.threshold == best_threshold(
        prediction.validation_scores, labels[np.concatenate(prediction.inner_parts)]
    )


@BOTH
def test_labels_of_test_cells_change_nothing(fit, protocol):
    embeddings, labels, groups = dataset()
    fold = first_fold(labels, groups)
    once = fit(protocol, embeddings, labels, groups, fold.train, fold.test)
    permuted = labels.copy()
    permuted[fold.test] = np.random.default_rng(0).permutation(labels[fold.test])
    assert not np.array_equal(permuted, labels)
    again = fit(protocol, embeddings, permuted, groups, fold.train, fold.test)
    assert (again.selected, again.threshold) == (once.selected, once.threshold)
    assert np.array_equal(again.test_scores, once.test_scores)


@BOTH
def test_scores_are_probabilities_and_the_same_each_time(fit, protocol):
    data = dataset()
    once, again = on_first_fold(fit, protocol, *data), on_first_fold(fit, protocol, *data)
    for scores in (once.test_scores, once.validation_scores):
        assert ((scores > 0) & (scores < 1)).all()
    assert np.array_equal(once.test_scores, again.test_scores)
    assert len(once.inner_parts) == 5


@BOTH
def test_the_order_of_training_rows_changes_nothing(fit, protocol):
    embeddings, labels, groups = dataset()
    once = on_first_fold(fit, protocol, embeddings, labels, groups)
    order = np.random.default_rng(1).permutation(len(labels))
    fold, place = first_fold(labels, groups), np.argsort(order)
    train, test = np.sort(place[fold.train]), place[fold.test]
    again = fit(protocol, embeddings[order], labels[order], groups[order], train, test)
    assert again.selected == once.selected
    np.testing.assert_allclose(again.test_scores, once.test_scores, rtol=1e-4)


@BOTH
def test_shuffled_training_labels_teach_nothing(fit, protocol):
    embeddings, labels, groups = dataset(n=500, d=30, groups=50)
    random = np.random.default_rng(0)
    folds = outer_folds(labels, groups, np.full(len(labels), ""), recipe="auto", folds=5, seed=0)
    true, shuffled = [], []
    for fold in folds:
        prediction = fit(protocol, embeddings, labels, groups, fold.train, fold.test)
        true.append(roc_auc_score(labels[fold.test], prediction.test_scores))
        for _ in range(12):
            mixed = labels.copy()
            mixed[fold.train] = random.permutation(labels[fold.train])
            prediction = fit(protocol, embeddings, mixed, groups, fold.train, fold.test)
            shuffled.append(roc_auc_score(labels[fold.test], prediction.test_scores))
    assert np.mean(true) > 0.7
    error = np.std(shuffled) / len(shuffled) ** 0.5
    assert error < 0.03
    assert np.mean(shuffled) == pytest.approx(0.5, abs=2.5 * error)


def test_the_length_of_an_embedding_says_nothing_where_nothing_is_centred():
    embeddings, labels, groups = dataset()
    protocol = dataclasses.replace(KNN, centred=False)
    once = on_first_fold(fit_knn, protocol, embeddings, labels, groups)
    longer = embeddings * 2.0 ** np.random.default_rng(0).integers(-3, 4, (len(labels), 1)).astype(np.float32)
    assert np.array_equal(on_first_fold(fit_knn, protocol, longer, labels, groups).test_scores, once.test_scores)


def test_ties_go_to_the_larger_k(monkeypatch):
    data, protocol = dataset(), dataclasses.replace(KNN, neighbours=(5, 10, 100))
    assert on_first_fold(fit_knn, protocol, *data).selected != {"k": 100}
    monkeypatch.setattr(knn, "TIE", 1.0)  # now all log losses are alike
    assert on_first_fold(fit_knn, protocol, *data).selected == {"k": 100}


def test_an_embedding_on_the_centre_has_no_direction_and_no_error():
    embeddings, labels, groups = dataset(n=80, groups=10)
    embeddings[:] = 0.1
    for fit, protocol in ((fit_knn, KNN), (fit_simpleshot, SHOT)):
        assert np.isfinite(on_first_fold(fit, protocol, embeddings, labels, groups).test_scores).all()
    assert (on_first_fold(fit_simpleshot, SHOT, embeddings, labels, groups).test_scores == 0.5).all()


# What a careful reader should know


def test_a_choice_at_the_edge_of_the_grid_is_flagged():
    data = dataset()
    edge = "k at the edge of its grid"
    assert edge in on_first_fold(fit_knn, dataclasses.replace(KNN, neighbours=(1,)), *data).flags
    prediction = on_first_fold(fit_knn, KNN, *data)
    assert (edge in prediction.flags) == (prediction.selected["k"] in (1, 100))  # 200 are more than there are


def test_more_neighbours_than_cells_become_all_cells():
    data = dataset(n=60, groups=12)
    prediction = on_first_fold(fit_knn, dataclasses.replace(KNN, neighbours=(1000,)), *data)
    fold = first_fold(*data[1:])
    assert prediction.selected["k"] == min(len(fold.train) - len(part) for part in prediction.inner_parts)


@BOTH
def test_fewer_groups_make_fewer_inner_folds_and_say_so(fit, protocol):
    embeddings, labels, _ = dataset(n=100)
    groups = np.array([f"slide-{index % 4}" for index in range(100)])
    train, test = np.flatnonzero(groups != "slide-3"), np.flatnonzero(groups == "slide-3")
    prediction = fit(protocol, embeddings, labels, groups, train, test)
    assert len(prediction.inner_parts) == 3
    assert "3 inner folds instead of 5" in prediction.flags


@BOTH
def test_too_few_groups_fix_what_would_be_chosen_and_say_so(fit, protocol):
    embeddings, labels, _ = dataset(n=60)
    groups = np.where(np.arange(60) < 15, "one", "other")
    prediction = fit(protocol, embeddings, labels, groups, np.arange(15), np.arange(15, 60))
    assert prediction.threshold == 0.5
    assert prediction.inner_parts == ()
    assert len(prediction.validation_scores) == 0
    assert any("too few groups for inner folds" in flag for flag in prediction.flags)
    if fit is fit_knn:
        assert prediction.selected == {"k": 15}  # twenty would be more than there are
        expected = by_scikit_learn(KNN, 15, embeddings, labels, np.arange(15), np.arange(15, 60))
        np.testing.assert_allclose(prediction.test_scores, expected, rtol=1e-12)


@BOTH
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["train", "test"])
def test_embeddings_that_are_no_numbers_are_refused(fit, protocol, value, side):
    embeddings, labels, groups = dataset()
    embeddings[getattr(first_fold(labels, groups), side)[3], 2] = value
    with pytest.raises(DataError, match="not finite"):
        on_first_fold(fit, protocol, embeddings, labels, groups)


@pytest.mark.parametrize(
    ("protocol", "settings", "said"),
    [
        (KNN, {"neighbours": "0,1"}, "positive and ascending"),
        (KNN, {"neighbours": "5,3"}, "positive and ascending"),
        (KNN, {"neighbours": "3,3"}, "positive and ascending"),
        (KNN, {"neighbours": "1.5"}, "whole number"),
        (KNN, {"fixed_neighbours": "0"}, "positive"),
        (KNN, {"centred": "maybe"}, "true or false"),
        (KNN, {"k": "5"}, "has no parameter 'k'"),
        (SHOT, {"scale": "0"}, "above 0"),
        (SHOT, {"scale": "1e9"}, "at most 100"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(protocol, settings, said):
    with pytest.raises(ProtocolError, match=said):
        override(protocol, settings)


def test_without_numbers_to_try_there_are_no_neighbours():
    with pytest.raises(ProtocolError, match="at least one"):
        dataclasses.replace(KNN, neighbours=())
