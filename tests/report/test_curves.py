"""Curves and components are those of independent references."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.metrics import precision_recall_curve, roc_curve

from mitozoo.report.curves import GRID, precision, roc
from mitozoo.report.embedding_map import principal_components
from mitozoo.report.svg import ticks

scored_cells = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=60).filter(
    lambda cells: 0 < sum(label for _, label in cells) < len(cells)
)


@given(scored_cells)
def test_roc_is_that_of_scikit_learn(cells):
    scores, labels = np.array([score / 20 for score, _ in cells]), np.array([int(label) for _, label in cells])
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    left = np.searchsorted(false, GRID, side="right") - 1  # the highest point at or left of each rate
    right = np.minimum(left + 1, len(false) - 1)
    width = false[right] - false[left]
    share = np.divide(GRID - false[left], width, out=np.zeros_like(GRID), where=width > 0)
    assert np.allclose(roc(scores, labels), true[left] + share * (true[right] - true[left]))


@given(scored_cells)
def test_precision_is_that_of_scikit_learn(cells):
    scores, labels = np.array([score / 20 for score, _ in cells]), np.array([int(label) for _, label in cells])
    precisions, recalls, _ = precision_recall_curve(labels, scores)
    reaching = [np.flatnonzero(recalls[:-1] >= at - 1e-12)[-1] for at in GRID[1:]]  # from low thresholds to high ones
    assert np.allclose(precision(scores, labels)[1:], precisions[reaching])


def test_components_are_those_of_scikit_learn():
    vectors = np.random.default_rng(0).normal(size=(50, 7)) * np.arange(1, 8)
    places, share = principal_components(vectors)
    reference = PCA(2).fit(vectors)
    assert np.allclose(np.abs(places), np.abs(reference.transform(vectors)))
    assert np.allclose(share, reference.explained_variance_ratio_)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_ticks_are_few_and_inside(low, span):
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 12
    assert all(low - 1e-6 * span <= tick <= low + span * 1.000001 + 1e-9 for tick in found)
    assert found == sorted(found)
