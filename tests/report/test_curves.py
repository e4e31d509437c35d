"""Curves and components are those of independent references."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.metrics import precision_recall_curve, roc_curve

from mitozoo.report.curves import GRID, precision, roc
from mitozoo.report.projections import principal_components, project
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


def two_groups() -> np.ndarray:
    """Return vectors of two groups of 60, far apart in one direction of many."""
    vectors = np.random.default_rng(0).normal(size=(120, 30))
    vectors[60:, 0] += 25
    return vectors


def test_a_map_says_that_it_is_of_principal_components(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)  # as where it is not installed
    found = project(two_groups())
    assert re.fullmatch(r"component 1 \(\d\d % of variance\)", found.axes[0])
    assert "(PCA)" in found.note
    assert np.array_equal(found.places, principal_components(two_groups())[0])


@pytest.mark.slow
def test_umap_keeps_neighbours_together_and_says_so():
    pytest.importorskip("umap", reason="umap-learn is not installed: pip install 'mitozoo[umap]'")
    vectors = two_groups()
    found = project(vectors)
    assert found.axes == ("UMAP 1", "UMAP 2")
    assert "by UMAP" in found.note
    apart = np.linalg.norm(found.places[:, None] - found.places, axis=2) + np.diag(np.full(120, np.inf))
    assert np.array_equal(apart.argmin(axis=1) >= 60, np.arange(120) >= 60)
    assert np.array_equal(project(vectors).places, found.places)
    assert "(PCA)" in project(vectors[:20]).note


def test_a_single_direction_has_a_map_too():
    for vectors in (np.arange(5.0)[:, None], np.ones((1, 3))):
        places, share = principal_components(vectors)
        assert places.shape == (len(vectors), 2)
        assert np.isfinite(places).all()
        assert share[1] == 0


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_ticks_are_few_and_inside(low, span):
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 12
    assert all(low - 1e-6 * span <= tick <= low + span * 1.000001 + 1e-9 for tick in found)
    assert found == sorted(found)
