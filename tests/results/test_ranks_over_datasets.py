"""Mean ranks over datasets: only of six or more that share no images, by what this repository's plugins declare."""

from __future__ import annotations

import pytest

from mitozoo.results.across_datasets import ranks_over_datasets

pytestmark = pytest.mark.usefixtures("fresh_registry")

APART = ["cmc", "brecahad", "demo", "omg-octo", "ami-br", "ccmct"]


def means_of(datasets, gap=0.1):
    return [{"a": 0.9, "b": 0.9 - gap - 0.01 * n, "c": 0.5} for n, _ in enumerate(datasets)]


def test_six_datasets_that_share_no_images_give_mean_ranks():
    found = ranks_over_datasets(APART, means_of(APART), "auroc")
    assert found["models"] == ["a", "b", "c"]
    assert found["ranks"] == pytest.approx((1, 2, 3))
    assert found["datasets"] == 6
    assert ranks_over_datasets(APART, means_of(APART), "brier")["ranks"] == pytest.approx((3, 2, 1))


@pytest.mark.parametrize(
    ("datasets", "reason"),
    [
        (["midog22", "midogpp", *APART[:4]], "'midog22' and 'midogpp' are not disjoint: both hold images of"),
        (["midog21", *APART], "'midog21' and 'ami-br' are not disjoint"),
        (APART[:5], "at least 6 datasets and 3 models, not 5 and 3"),
        (["nobody-knows", *APART[:5]], "no installed plugin tells where the images of 'nobody-knows' come from"),
    ],
)
def test_datasets_that_do_not_allow_mean_ranks(datasets, reason):
    assert reason in ranks_over_datasets(datasets, means_of(datasets), "auroc")["refused"]


def test_a_gap_in_the_table_is_refused():
    found = ranks_over_datasets(["a", "b"], [{"x": 0.5, "y": 0.5}, {"x": 0.5}], "auroc")
    assert found == {"refused": "not every model was run on every dataset"}
