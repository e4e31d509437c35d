"""The solver: every head equals scikit-learn's on the same standardised cells, however badly conditioned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mitozoo.protocols import design as design_module
from mitozoo.protocols import logistic
from mitozoo.protocols.design import Design
from mitozoo.protocols.logistic import GRADIENT_TOLERANCE, PenaltyPath

PENALTIES = (1e3, 1.0, 1e-2, 1e-5)
PARTS = 3


def random_problem(n, d, *, prevalence=0.4, signal=1.0, seed=0):
    random = np.random.default_rng(seed)
    labels = (random.random(n) < prevalence).astype(int)
    labels[: 2 * PARTS] = [0] * PARTS + [1] * PARTS  # both classes in and out of every part
    return random.normal(size=(n, d)) + signal * labels[:, None] / np.sqrt(d), labels


def power_law(n, d):
    features, labels = random_problem(n, d)
    mix = np.linalg.qr(np.random.default_rng(1).normal(size=(d, d)))[0]
    return features * np.arange(1, d + 1) ** -1.5 @ mix + 30.0, labels


def separable(n, d):
    features, labels = random_problem(n, d)
    features[:, 0] = 4.0 * labels + 0.1 * features[:, 0]
    return features, labels


def duplicated(n, d):
    features, labels = random_problem(n // 3, d)
    return np.repeat(features, 3, axis=0), np.repeat(labels, 3)


def with_constants(n, d):
    features, labels = random_problem(n, d)
    features[:, 1] = 0.1
    features[:, 2] = 0.0
    features[:, 3] = 1e6
    return features, labels


def constant_in_a_fold(n, d):
    """Features that only held-out cells of the first part ever show, as units of a network may."""
    features, labels = random_problem(n, d)
    first = np.arange(n) % PARTS == 0
    for column in range(d // 2):
        features[:, column] = np.where(first & (np.arange(n) % 7 == column % 7), 3.0 + column, 0.0)
    return features, labels


def many_scales(n, d):
    features, labels = random_problem(n, d)
    return features * 10.0 ** np.linspace(-6, 6, d) + 10.0 ** np.linspace(3, -3, d), labels


PROBLEMS = {
    "more cells": random_problem(240, 15),
    "more features": random_problem(60, 150),
    "as many": random_problem(80, 80),
    "one cell more than features": random_problem(81, 80),
    "no signal": random_problem(200, 20, signal=0.0),
    "power law": power_law(240, 40),
    "power law, more features": power_law(60, 90),
    "separable": separable(150, 12),
    "separable, more features": separable(45, 90),
    "imbalanced": random_problem(400, 12, prevalence=0.02),
    "duplicated": duplicated(180, 20),
    "duplicated, more features": duplicated(60, 60),
    "constants": with_constants(160, 10),
    "constants, more features": with_constants(45, 70),
    "constant in a fold": constant_in_a_fold(150, 16),
    "constant in a fold, more features": constant_in_a_fold(48, 60),
    "many scales": many_scales(200, 13),
}


def members_of(n):
    """All cells but each part in turn, and all cells."""
    outside = np.arange(n) % PARTS
    return np.stack([outside != part for part in range(PARTS)] + [np.ones(n, dtype=bool)])


def path_of(features, labels, members):
    return PenaltyPath(Design(torch.as_tensor(features), torch.as_tensor(labels)), torch.as_tensor(members))


def reference(features, labels, member, penalty):
    """Scikit-learn's weights and bias for features as they are."""
    scaler = StandardScaler().fit(features[member])
    fitted = LogisticRegression(C=1 / (penalty * member.sum()), tol=1e-11, max_iter=200_000)
    fitted.fit(scaler.transform(features[member]), labels[member])
    weights = fitted.coef_[0] / scaler.scale_
    return weights, fitted.intercept_[0] - scaler.mean_ @ weights


def sigmoid(margins):
    return 1 / (1 + np.exp(-np.clip(margins, -700, 700)))


@pytest.mark.parametrize("on_gpu", [False, True], ids=["", "as on a GPU"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_head_gives_the_probabilities_of_scikit_learn(name, on_gpu):
    features, labels = PROBLEMS[name]
    members = members_of(len(labels))
    path = path_of(features, labels, members)
    path.on_gpu = on_gpu
    for penalty in PENALTIES:
        heads = path.solve(penalty)
        assert heads.converged.all()
        for member, weights, bias, margins in zip(members, heads.weights, heads.bias, heads.margins, strict=True):
            expected_weights, expected_bias = reference(features, labels, member, penalty)
            expected = sigmoid(features @ expected_weights + expected_bias)  # of held-out cells too
            np.testing.assert_allclose(sigmoid(features @ weights.numpy() + bias.item()), expected, atol=1e-4)
            np.testing.assert_allclose(sigmoid(margins.numpy()), expected, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(14, 60), st.integers(1, 40), st.floats(-4, 3), st.integers(0, 99))
def test_whatever_the_shape_the_gradient_vanishes(n, d, exponent, seed):
    features, labels = random_problem(n, d, seed=seed)
    members = members_of(n)
    heads = path_of(features, labels, members).solve(10.0**exponent)
    assert heads.converged.all()
    assert gradients(features, labels, members, heads, 10.0**exponent).max() < 2 * GRADIENT_TOLERANCE


def gradients(features, labels, members, heads, penalty):
    """The largest gradient entry of each head, by the formula, on features standardised among its members."""
    largest = []
    for member, weights, bias in zip(members, heads.weights.numpy(), heads.bias.numpy(), strict=True):
        scaler = StandardScaler().fit(features[member])
        inside, own = scaler.transform(features[member]), weights * scaler.scale_
        residual = sigmoid(inside @ own + bias + scaler.mean_ @ weights) - labels[member]
        of_weights = inside.T @ residual / member.sum() + penalty * own
        largest.append(max(np.abs(of_weights).max(), abs(residual.mean())))
    return np.array(largest)


def test_converged_is_said_only_of_heads_that_are(monkeypatch):
    features, labels = PROBLEMS["power law"]
    members = members_of(len(labels))
    seen = set()
    for steps in range(1, 9):
        monkeypatch.setattr(logistic, "MAX_NEWTON_STEPS", steps)
        heads = path_of(features, labels, members).solve(1e-3)
        largest = gradients(features, labels, members, heads, 1e-3)
        assert (largest[heads.converged.numpy()] < 2 * GRADIENT_TOLERANCE).all()
        seen.add(tuple(heads.converged.tolist()))
    assert {(False,) * 4, (True,) * 4} <= seen


def test_few_steps_of_conjugate_gradients_cost_time_but_no_accuracy(monkeypatch):
    features, labels = PROBLEMS["power law"]
    members = members_of(len(labels))
    exact = path_of(features, labels, members).solve(1e-3)
    monkeypatch.setattr(logistic, "MAX_CG_STEPS", 3)
    heads = path_of(features, labels, members).solve(1e-3)
    assert heads.converged.all()
    torch.testing.assert_close(heads.margins, exact.margins, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["more cells", "more features", "separable"])
def test_a_solution_does_not_depend_on_the_way_to_it(name):
    features, labels = PROBLEMS[name]
    members = members_of(len(labels))
    walked = path_of(features, labels, members)
    for penalty in (1e3, 1e2, 10.0, 1.0):
        heads = walked.solve(penalty)
    straight = path_of(features, labels, members).solve(1.0)
    back = walked
    back.solve(1e-4)
    for other in (straight, back.solve(1.0)):
        torch.testing.assert_close(other.margins, heads.margins, atol=1e-5, rtol=1e-5)


def test_a_start_is_only_a_start():
    features, labels = PROBLEMS["more cells"]
    members = members_of(len(labels))
    design = Design(torch.as_tensor(features), torch.as_tensor(labels))
    heads = PenaltyPath(design, torch.as_tensor(members)).solve(0.1)
    everyone = torch.as_tensor(members[-1:])
    refitted = PenaltyPath(design, everyone, heads.start[:-1].mean(0, keepdim=True)).solve(0.1)
    torch.testing.assert_close(refitted.margins, heads.margins[-1:], atol=1e-6, rtol=1e-6)


def test_single_precision_embeddings_are_solved_in_double():
    features, labels = power_law(120, 20)
    members = members_of(120)
    narrow = features.astype(np.float32)
    one = path_of(narrow, labels, members).solve(0.1)
    other = path_of(narrow.astype(np.float64), labels, members).solve(0.1)
    assert one.weights.dtype == torch.float64
    assert torch.equal(one.margins, other.margins)


@pytest.mark.parametrize("name", ["more cells", "constants", "constant in a fold", "many scales", "separable"])
def test_very_many_cells_are_solved_some_at_a_time(name, monkeypatch):
    """Features that are made anew wherever they are used give what features that are held give."""
    features, labels = PROBLEMS[name]
    members = members_of(len(labels))
    held = [path_of(features, labels, members).solve(penalty) for penalty in (10.0, 0.1)]
    monkeypatch.setattr(design_module, "HELD_VALUES", 0)
    monkeypatch.setattr(design_module, "BLOCK_VALUES", 17 * (features.shape[1] + 1))
    twice = torch.as_tensor(np.concatenate([features, features]))
    rows = torch.arange(len(labels), 2 * len(labels))
    made = PenaltyPath(Design(twice, torch.as_tensor(labels), rows), torch.as_tensor(members))
    assert len(made.design.slices) == -(-len(labels) // 17)
    for penalty, expected in zip((10.0, 0.1), held, strict=True):
        heads = made.solve(penalty)
        assert heads.converged.all()
        torch.testing.assert_close(heads.margins, expected.margins, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(heads.weights, expected.weights, atol=1e-6, rtol=1e-6)


def test_the_embeddings_given_are_left_as_they_are():
    features, labels = random_problem(60, 5)
    given_features = torch.as_tensor(features.copy())
    Design(given_features, torch.as_tensor(labels))
    assert np.array_equal(given_features.numpy(), features)
