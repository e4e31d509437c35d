"""Controls from labels alone: what they score, and what within-slide AUROC makes of them."""

import numpy as np
import pytest

from mitozoo.statistics import controls, metrics


def test_a_cell_scores_the_rate_of_its_group_in_training_else_of_all():
    scores = controls.slide_prior([1, 1, 0, 0], ["a", "a", "a", "b"], ["a", "b", "new", "a"])
    np.testing.assert_allclose(scores, [2 / 3, 0, 0.5, 2 / 3])


def test_names_before_and_after_all_known_ones_are_new():
    np.testing.assert_allclose(
        controls.slide_prior([1, 0, 0], ["m", "m", "m"], ["a", "z", "m", "mm"]), np.full(4, 1 / 3)
    )


def test_a_domain_prior_scores_the_rate_of_the_cells_domain():
    scores = controls.domain_prior([1, 0, 0, 0], ["dog", "dog", "human", "human"], ["human", "dog", "cat"])
    np.testing.assert_allclose(scores, [0, 0.5, 0.25])


def test_the_oracle_scores_the_rate_of_the_test_slide():
    np.testing.assert_allclose(controls.test_slide_rate([1, 0, 1], [7, 7, 9]), [0.5, 0.5, 1])


def test_no_training_cell_is_no_rate():
    with pytest.raises(ValueError, match="at least one"):
        controls.slide_prior([], [], ["a"])


def test_knowing_the_slide_scores_high_in_the_pool_and_nothing_within_slides():
    rng = np.random.default_rng(1)
    slides = np.repeat(np.arange(100), 30)
    labels = (rng.random(3000) < rng.beta(1, 1.5, 100)[slides]).astype(int)
    oracle = metrics.compute(controls.test_slide_rate(labels, slides), labels, slides=slides, threshold=0.5)
    assert oracle["auroc"][0] > 0.65
    assert oracle["within_slide_auroc"][0] == 0.5
    assert oracle["within_slide_auroc_macro"][0] == 0.5


def test_the_slide_prior_pays_only_where_a_split_cuts_slides():
    rng = np.random.default_rng(2)
    slides = np.repeat(np.arange(100), 40)
    labels = (rng.random(4000) < rng.beta(1, 1.5, 100)[slides]).astype(int)

    def auroc(test):
        scores = controls.slide_prior(labels[~test], slides[~test], slides[test])
        return metrics.compute(scores, labels[test], slides=slides[test], threshold=0.5)["auroc"][0]

    assert auroc(rng.random(4000) < 0.2) > 0.65
    assert auroc(slides >= 80) == 0.5
