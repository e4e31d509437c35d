"""Simulated coverage of the intervals, by the very script that made the table in docs/statistics.md."""

import numpy as np
import pytest
from script_files import load_script


@pytest.fixture(scope="module")
def study():
    return load_script("benchmarks/coverage.py")


@pytest.mark.slow
def test_percentiles_over_200_equal_groups_hold_the_truth_in_93_to_97_percent(study):
    sizes, rates = study.scenarios()["200 equal"]
    found = study.coverage(sizes // 2, rates, methods=("percentile",), simulations=400, replicates=300, seed=0)
    shares = {name: share for name, (share, _) in found["percentile"].items()}
    assert 0.93 <= shares["auroc"] <= 0.97
    assert 0.93 <= np.mean(list(shares.values())) <= 0.97  # four metrics: less left to chance than in each
    assert all(withheld == 0 for _, withheld in found["percentile"].values())


@pytest.mark.slow
def test_at_11_unequal_slides_the_jackknife_holds_the_truth_more_often(study):
    sizes, rates = study.scenarios()["CCMCT-like 11"]
    methods = ("percentile", "jackknife")
    found = study.coverage(sizes, rates, methods=methods, simulations=250, replicates=200, seed=2)
    for name in ("auroc", "average_precision", "balanced_accuracy"):  # within slides both fall short alike
        assert found["jackknife"][name][0] > found["percentile"][name][0], name


def test_the_simulated_slides_are_the_real_ones(study):
    scenarios = study.scenarios()
    assert scenarios["MIDOG++-like 111"][0].sum() == 5386  # 5,383 cells; the smallest slides are rounded up to 4
    assert {name: len(sizes) for name, (sizes, _) in scenarios.items()} == {
        "200 equal": 200, "MIDOG++-like 111": 111, "MIDOG++-like 32": 32, "CCMCT-like 32": 32, "CCMCT-like 11": 11,
    }  # fmt: skip
    sizes, rates = scenarios["CCMCT-like 11"]
    assert sizes.max() / sizes.sum() == pytest.approx(0.42, abs=0.01)
    scores, labels, slides = study.simulate(np.random.default_rng(0), sizes, rates)
    assert np.bincount(slides).tolist() == sizes.tolist()
    assert scores[labels == 1].mean() > scores[labels == 0].mean()
