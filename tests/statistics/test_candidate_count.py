"""Counts of candidates: no bias where predictions are perfect, blind to what nobody annotated, whole regions alone."""

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from mitozoo.errors import DataError
from mitozoo.statistics.candidate_count import (
    CutOffs,
    grade_kappa,
    log_agreement,
    region_counts,
    require_whole_regions,
)

BREAST = CutOffs(tumour="some tumour", area_mm2=2.0, counts=(8, 15), source="a made-up table")


def objects(seed=0):
    """Return regions, whether each object is a figure, whether it was annotated, and a model's probability."""
    rng = np.random.default_rng(seed)
    regions = rng.choice([f"region{n:02}" for n in range(30)], 900)
    figure = rng.random(900) < 0.3
    annotated = figure | (rng.random(900) < 0.5)
    return regions, figure, annotated, np.clip(0.7 * figure + 0.3 * rng.random(900), 0, 1)


def test_perfect_predictions_have_no_bias_and_no_spread():
    regions, figure, _, _ = objects()
    true = region_counts(regions, figure)
    found = log_agreement(region_counts(regions, figure.astype(float)), true)
    assert (found.regions, found.bias, found.limit_low, found.limit_high) == (30, 0, 0, 0)


def test_lookalikes_that_nobody_annotated_change_nothing():
    """Which documents the limit: the count knows nothing of what a detector would find beside the candidates."""
    regions, figure, annotated, chance = objects()
    alone = region_counts(regions[annotated], chance[annotated] >= 0.5)
    more = np.concatenate([annotated, np.zeros(500, bool)])
    regions_of_all = np.concatenate([regions, np.repeat("region00", 500)])
    chance_of_all = np.concatenate([chance, np.ones(500)])  # each would be called a figure
    assert (region_counts(regions_of_all[more], chance_of_all[more] >= 0.5) == alone).all()
    assert region_counts(regions, figure)[0] < 500


def test_bias_and_limits_are_those_of_bland_and_altman_on_the_log_scale():
    true, predicted = np.array([0, 3, 9, 20]), np.array([1, 3, 12, 16.5])
    difference = np.log((predicted + 1) / (true + 1))
    found = log_agreement(predicted, true)
    assert found.bias == pytest.approx(difference.mean())
    spread = np.std(difference, ddof=1)
    expected = (difference.mean() - 1.96 * spread, difference.mean() + 1.96 * spread)
    assert (found.limit_low, found.limit_high) == pytest.approx(expected)
    assert log_agreement([3], [1]).limit_low is None
    doubled = log_agreement(2 * (true + 1) - 1, true)
    assert doubled.bias == pytest.approx(math.log(2))


def test_calibrated_probabilities_sum_to_the_count():
    rng = np.random.default_rng(2)
    regions = np.repeat(np.arange(100), 200)
    chance = rng.beta(1, 3, len(regions))
    labels = rng.random(len(regions)) < chance
    true = region_counts(regions, labels)
    assert log_agreement(region_counts(regions, chance), true).bias == pytest.approx(0, abs=0.02)
    assert abs(log_agreement(region_counts(regions, chance >= 0.5), true).bias) > 0.3


def test_a_region_half_in_train_is_refused():
    regions = np.array(["a", "a", "b", "b", "c"])
    require_whole_regions(regions, [2, 3, 4], [0, 1])
    with pytest.raises(
        DataError, match=r"1 regions are only tested in part, such as a \(1 of them lie partly in train"
    ):
        require_whole_regions(regions, [1, 2], [0])
    with pytest.raises(DataError, match=r"such as b \(0 of them"):
        require_whole_regions(regions, [4], [0, 1, 2])


def test_kappa_is_scikit_learns_on_the_grades():
    rng = np.random.default_rng(3)
    true = rng.integers(0, 30, 60)
    predicted = np.maximum(0, true + rng.integers(-5, 6, 60))
    grades = [np.digitize(each, BREAST.counts) for each in (predicted, true)]
    found = grade_kappa(predicted, true, BREAST, tumour="some tumour", area_mm2=2.0)
    assert found == pytest.approx(cohen_kappa_score(*grades, weights="quadratic"))
    assert grade_kappa(true, true, BREAST, tumour="some tumour", area_mm2=1.96) == 1
    assert math.isnan(grade_kappa([1], [2], BREAST, tumour="some tumour", area_mm2=2.0))


@pytest.mark.parametrize(("tumour", "area_mm2"), [("another", 2.0), ("some tumour", 2.37)])
def test_cut_offs_hold_for_their_own_tumour_and_area(tumour, area_mm2):
    with pytest.raises(DataError, match="a made-up table are for some tumour in 2 mm2"):
        grade_kappa([1], [2], BREAST, tumour=tumour, area_mm2=area_mm2)


@pytest.mark.parametrize(
    "changed", [{"tumour": ""}, {"source": ""}, {"area_mm2": 0}, {"counts": ()}, {"counts": (9, 5)}]
)
def test_cut_offs_without_a_source_are_refused(changed):
    with pytest.raises(ValueError, match="cut-offs"):
        CutOffs(**({"tumour": "a", "area_mm2": 2, "counts": (5, 9), "source": "b"} | changed))
