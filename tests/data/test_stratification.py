"""Parts of whole groups: those that scikit-learn's StratifiedGroupKFold makes of groups in the same order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from mitozoo.data.stratification import stratified_parts

sizes = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(any), min_size=2, max_size=40)
few_sizes = st.lists(st.sampled_from([(1, 0), (0, 1), (1, 1), (2, 2)]), min_size=2, max_size=60)  # full of ties


def by_scikit_learn(labels, groups, count, seed):
    names, membership = np.unique(groups, return_inverse=True)
    order = np.arange(len(names))
    np.random.RandomState(seed).shuffle(order)
    return [test for _, test in StratifiedGroupKFold(count).split(labels, labels, np.argsort(order)[membership])]


@pytest.mark.filterwarnings("ignore:The least populated class")
@given(sizes | few_sizes, st.integers(2, 10), st.integers(0, 5))
def test_parts_are_those_of_scikit_learn_wherever_these_hold_both_classes(sizes, count, seed):
    labels = np.concatenate([[1] * positives + [0] * negatives for positives, negatives in sizes]).astype(np.int8)
    groups = np.repeat([f"case-{index:02}" for index in range(len(sizes))], [sum(size) for size in sizes])
    assume(min(len(np.unique(groups[labels == label])) for label in (0, 1)) >= count)
    theirs = by_scikit_learn(labels, groups, count, seed)
    ours = stratified_parts(labels, groups, count, seed)
    assert all(len(np.unique(labels[part])) == 2 for part in ours)
    if all(len(np.unique(labels[part])) == 2 for part in theirs):
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, other)
