"""The released probe: its objective's optimum by an independent solver, its switches, and what it never looks at."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp

from mitozoo.data.splits import held_out_parts
from mitozoo.errors import DataError, ProtocolError
from mitozoo.protocols.ammeling2026 import (
    AS_RELEASED,
    Ammeling2026Probe,
    cost,
    fit_ammeling2026_probe,
    kept_rows,
    solve,
)
from mitozoo.protocols.spec import override

PROBE = Ammeling2026Probe(name="released", version=1, title="", **AS_RELEASED)


def dataset(n=240, d=30, seed=0):
    random = np.random.default_rng(seed)
    labels = (random.random(n) < 0.4).astype(np.int8)
    embeddings = random.normal(size=(n, d)) * np.linspace(0.2, 3, d) + 0.5
    embeddings[:, :4] += 0.8 * labels[:, None]
    embeddings *= 5  # in so few dimensions the penalty is strong
    groups = np.array([f"slide-{index % 12}" for index in range(n)])
    return embeddings.astype(np.float32), labels, groups, np.arange(180), np.arange(180, n)


def objective(parameters, features, labels, norm):
    """The loss as papers and code state it, in numpy."""
    d = features.shape[1]
    weight, bias = parameters[: 2 * d].reshape(2, d), parameters[2 * d :]
    outputs = features @ weight.T + bias
    entropy = (logsumexp(outputs, axis=1) - outputs[np.arange(len(labels)), labels]).mean()
    length = np.sqrt((weight**2).sum()) if norm == "unsquared" else (weight**2).sum()
    return entropy + (1 / (d * 2 / 100)) * 0.5 * length


@pytest.mark.parametrize("norm", ["unsquared", "squared"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_optimum_is_that_of_an_independent_solver(norm, seed):
    embeddings, labels, _, train, _ = dataset(seed=seed)
    features, truth = embeddings[train].astype(np.float64), labels[train].astype(np.int64)
    weight, bias, iterations, converged = solve(
        torch.from_numpy(features), torch.from_numpy(truth), norm=norm, max_iterations=1000
    )
    assert 1 < iterations < 1000
    assert converged
    found = objective(np.concatenate([weight.numpy().ravel(), bias.numpy()]), features, truth, norm)
    start = np.random.default_rng(7).normal(size=2 * features.shape[1] + 2)  # from elsewhere: the problem is convex
    best = minimize(
        objective, start, args=(features, truth, norm), method="SLSQP", options={"maxiter": 2000, "ftol": 1e-14}
    )
    assert found == pytest.approx(best.fun, abs=1e-6)
    assert found < objective(np.zeros(len(start)), features, truth, norm)
    other = best.x[: 2 * features.shape[1]].reshape(2, -1)
    np.testing.assert_allclose((weight[1] - weight[0]).numpy(), other[1] - other[0], atol=3e-3)


def test_it_scores_what_its_saved_head_scores():
    embeddings, labels, groups, train, test = dataset()
    for protocol in (PROBE, dataclasses.replace(PROBE, standardised=True)):
        prediction = fit_ammeling2026_probe(protocol, embeddings, labels, groups, train, test)
        held = prediction.tensors
        outputs = (embeddings[test].astype(np.float64) - held["centre"]) / held["scale"] @ held["weight"].T + held[
            "bias"
        ]
        chance = np.exp(outputs[:, 1] - logsumexp(outputs, axis=1))
        np.testing.assert_allclose(prediction.test_scores, chance, rtol=1e-9)
        assert prediction.converged
        assert prediction.selected["C"] == 30 * 2 / 100 == cost(30)


def test_each_switch_changes_what_it_names():
    embeddings, labels, groups, train, test = dataset()
    fitted = {
        name: fit_ammeling2026_probe(override(PROBE, settings), embeddings, labels, groups, train, test)
        for name, settings in {
            "released": {}, "squared": {"norm": "squared"}, "standardised": {"standardised": "true"},
            "all": {"thrown_away": "0"},
        }.items()
    }  # fmt: skip
    scores = [prediction.test_scores.tobytes() for prediction in fitted.values()]
    assert len(set(scores)) == 4
    assert fitted["released"].selected["cells_fitted"] == 144
    assert fitted["all"].selected["cells_fitted"] == 180
    assert np.array_equal(fitted["released"].tensors["centre"], np.zeros(30))
    np.testing.assert_allclose(fitted["standardised"].tensors["scale"], embeddings[
        kept_rows(train, labels, 0.2, 42)].std(0, dtype=np.float64))  # fmt: skip


def test_nothing_is_chosen_and_nothing_held_out():
    embeddings, labels, groups, train, test = dataset()
    prediction = fit_ammeling2026_probe(PROBE, embeddings, labels, groups, train, test)
    assert prediction.threshold == 0.5
    assert prediction.inner_parts == ()
    assert held_out_parts(labels, groups, train, kind=PROBE.kind, folds=5, seed=42) == []
    assert not PROBE.trains_network


def test_labels_of_test_cells_change_nothing():
    embeddings, labels, groups, train, test = dataset()
    once = fit_ammeling2026_probe(PROBE, embeddings, labels, groups, train, test)
    other = labels.copy()
    other[test] = 1 - other[test]
    again = fit_ammeling2026_probe(PROBE, embeddings, other, groups, train, test)
    assert np.array_equal(once.test_scores, again.test_scores)


def test_a_class_is_never_thrown_away():
    labels = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0], dtype=np.int8)
    for seed in range(30):
        kept = kept_rows(np.arange(10), labels, 0.5, seed)
        assert set(labels[kept]) == {0, 1}
        assert len(kept) in (5, 10)
    assert np.array_equal(kept_rows(np.arange(10), labels, 0.0, 3), np.arange(10))


def test_a_solver_that_is_stopped_says_so():
    embeddings, labels, groups, train, test = dataset()
    hurried = dataclasses.replace(PROBE, max_iterations=2)
    prediction = fit_ammeling2026_probe(hurried, embeddings, labels, groups, train, test)
    assert not prediction.converged
    assert prediction.flags == ("solver was stopped at max_iterations",)


def test_a_penalty_that_outweighs_everything_is_flagged():
    """At 0 the unsquared norm has a kink: in few dimensions, and so at small C, nothing leaves it."""
    embeddings, labels, groups, train, test = dataset(d=4)
    prediction = fit_ammeling2026_probe(PROBE, embeddings / 100, labels, groups, train, test)
    assert (prediction.test_scores == 0.5).all()
    assert prediction.flags == ("the penalty outweighs all that the embeddings tell: every weight is 0",)
    squared = dataclasses.replace(PROBE, norm="squared")
    assert fit_ammeling2026_probe(squared, embeddings / 100, labels, groups, train, test).flags == ()


def test_embeddings_that_are_no_numbers_are_refused():
    embeddings, labels, groups, train, test = dataset()
    embeddings[test[0], 0] = np.nan
    with pytest.raises(DataError, match="not finite"):
        fit_ammeling2026_probe(PROBE, embeddings, labels, groups, train, test)


@pytest.mark.parametrize("settings", [{"norm": "cubed"}, {"thrown_away": "1"}, {"max_iterations": "0"}])
def test_what_cannot_be_is_refused(settings):
    with pytest.raises(ProtocolError):
        override(PROBE, settings)
