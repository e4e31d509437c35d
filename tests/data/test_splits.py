"""Splits: no group on both sides, every cell tested once, fractions nested, the same everywhere and for ever."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from mitozoo.data.splits import NotEnoughLabels, draw, inner_folds, outer_folds, sample_groups, smallest_fraction
from mitozoo.errors import SplitError

counts = st.integers(0, 12)
group_sizes = st.lists(st.tuples(counts, counts).filter(any), min_size=2, max_size=25)  # (positives, negatives)
seeds = st.integers(0, 5)
patient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def cells(sizes, order=0):
    """Labels and groups of cells that lie in a mixed order."""
    labels = np.concatenate([[1] * positives + [0] * negatives for positives, negatives in sizes]).astype(np.int8)
    groups = np.repeat([f"case-{index:02}" for index in range(len(sizes))], [sum(size) for size in sizes])
    mixed = np.random.RandomState(order).permutation(len(labels))
    return labels[mixed], groups[mixed]


def groups_of_class(labels, groups):
    return [len(np.unique(groups[labels == label])) for label in (0, 1)]


def folds_of(labels, groups, folds=5, seed=0, official=None, recipe="auto"):
    sides = np.full(len(labels), "") if official is None else official
    return outer_folds(labels, groups, sides, recipe=recipe, folds=folds, seed=seed)


def a_dataset():
    return cells([(7 * index % 5, 1 + 5 * index % 9) for index in range(40)])


@patient
@given(group_sizes, st.integers(2, 6), seeds)
def test_each_cell_is_tested_once_and_no_group_stands_on_both_sides(sizes, folds, seed):
    labels, groups = cells(sizes)
    assume(min(groups_of_class(labels, groups)) >= folds)
    made = folds_of(labels, groups, folds, seed)
    assert [fold.index for fold in made] == list(range(folds))
    assert sorted(np.concatenate([fold.test for fold in made])) == list(range(len(labels)))
    for fold in made:
        assert sorted([*fold.train, *fold.test]) == list(range(len(labels)))
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert set(labels[fold.test]) == set(labels[fold.train]) == {0, 1}


@patient
@given(group_sizes, st.integers(2, 6), seeds)
def test_too_few_groups_of_a_class_are_refused_with_the_number_that_would_do(sizes, folds, seed):
    labels, groups = cells(sizes)
    fewest = min(groups_of_class(labels, groups))
    assume(fewest < folds)
    with pytest.raises(SplitError, match=f"only {fewest} of the rarer class") as refused:
        folds_of(labels, groups, folds, seed)
    assert (f"outer_folds={fewest}" in refused.value.hint) == (fewest >= 2)


def test_one_group_with_all_positives_cannot_be_split_at_all():
    labels, groups = cells([(9, 3), (0, 4), (0, 5), (0, 2), (0, 1), (0, 3)])
    with pytest.raises(SplitError) as refused:
        folds_of(labels, groups)
    assert "one group" in refused.value.hint


def test_a_part_without_a_class_is_given_a_group_of_it():
    """scikit-learn alone leaves parts without positives here, although every class lies in five groups or more."""
    sizes = [(1, 4), (0, 3), (2, 3), (11, 39), (0, 10), (2, 0), (50, 0)]
    labels, groups = cells(sizes)
    alone = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, groups)
    assert any(len(set(labels[test])) < 2 for _, test in alone)
    assert all(set(labels[fold.test]) == {0, 1} for fold in folds_of(labels, groups))


def test_folds_are_stratified():
    labels, groups = a_dataset()
    made = folds_of(labels, groups)
    assert max(abs(labels[fold.test].mean() - labels.mean()) for fold in made) < 0.03
    assert max(len(fold.test) for fold in made) < 1.3 * min(len(fold.test) for fold in made)


@patient
@given(group_sizes, seeds, st.integers(1, 9))
def test_folds_do_not_depend_on_the_order_of_the_cells(sizes, seed, order):
    labels, groups = cells(sizes)
    assume(min(groups_of_class(labels, groups)) >= 3)
    other_labels, other_groups = cells(sizes, order)
    rows, others = np.arange(len(labels)), np.arange(len(labels))
    for one, other in zip(
        folds_of(labels, groups, 3, seed), folds_of(other_labels, other_groups, 3, seed), strict=True
    ):
        assert set(groups[one.test]) == set(other_groups[other.test])
    for one, other in zip(
        inner_folds(labels, groups, rows, folds=3, seed=seed),
        inner_folds(other_labels, other_groups, others, folds=3, seed=seed),
        strict=True,
    ):
        assert set(groups[one]) == set(other_groups[other])


def test_the_seed_moves_the_folds():
    labels, groups = a_dataset()
    assert not np.array_equal(folds_of(labels, groups, seed=0)[0].test, folds_of(labels, groups, seed=1)[0].test)


def test_splits_are_those_of_every_version_and_machine():
    """Change these only together with the version of every protocol: a protocol's name promises its cells."""
    labels, groups = a_dataset()
    made = folds_of(labels, groups)
    drawn = [draw(labels, groups, made[0].train, fraction=0.3, seed=seed, by=by) for seed in (0, 1) for by in BY]
    parts = inner_folds(labels, groups, made[0].train, folds=5, seed=0)
    digests = [digest([fold.test for fold in made]), digest(drawn), digest(parts)]
    assert digests == ["47c6ef584c255e3d", "fae8c3f7f0214660", "c14e9f60c6492d20"]


BY = ("groups", "cells")


def digest(row_sets):
    return hashlib.sha256(b"|".join(rows.astype("<i8").tobytes() for rows in row_sets)).hexdigest()[:16]


# The official split


def test_the_official_split_is_one_fold_and_leaves_cells_without_a_side_alone():
    labels, groups = cells([(3, 3)] * 6)
    side = {"case-00": "test", "case-01": "test", "case-05": ""}
    official = np.array([side.get(group, "train") for group in groups])
    (fold,) = folds_of(labels, groups, official=official)
    assert set(groups[fold.test]) == {"case-00", "case-01"}
    assert set(groups[fold.train]) == {"case-02", "case-03", "case-04"}
    assert len(folds_of(labels, groups, official=official, recipe="grouped")) == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda official, labels, groups: official.__setitem__(np.flatnonzero(groups == "case-00")[0], "train"),
            "divides 1",
        ),
        (
            lambda official, labels, groups: official.__setitem__((groups == "case-00") & (labels == 1), ""),
            "one class only",
        ),
        (lambda official, labels, groups: official.__setitem__(groups == "case-00", ""), "test side holds no cells"),
    ],
)
def test_an_official_split_that_cannot_be_right_is_refused(change, said):
    labels, groups = cells([(3, 3)] * 4)
    official = np.where(groups == "case-00", "test", "train").astype("<U5")
    change(official, labels, groups)
    with pytest.raises(SplitError, match=said):
        folds_of(labels, groups, official=official)


def test_an_official_split_is_not_invented():
    labels, groups = cells([(3, 3)] * 6)
    with pytest.raises(SplitError, match="no official split"):
        folds_of(labels, groups, recipe="official")


# Label fractions


def draw_or_none(labels, groups, rows, fraction, seed, by):
    try:
        return draw(labels, groups, rows, fraction=fraction, seed=seed, by=by)
    except NotEnoughLabels:
        return None


@patient
@given(group_sizes, st.lists(st.floats(0.01, 1), min_size=2, max_size=5), seeds, st.sampled_from(BY))
def test_fractions_count_cells_and_are_nested(sizes, fractions, seed, by):
    labels, groups = cells(sizes)
    train = np.flatnonzero(groups != "case-00")
    assume(len(train))
    smaller = set()
    for fraction in sorted(fractions):
        drawn = draw_or_none(labels, groups, train, fraction, seed, by)
        if drawn is None:
            assert not smaller  # whatever a smaller budget trains, a larger one trains too
            continue
        assert len(drawn) == round(fraction * len(train))
        assert np.array_equal(drawn, np.unique(drawn))
        assert smaller <= set(drawn) <= set(train)
        assert min(groups_of_class(labels[drawn], groups[drawn])) >= 2
        smaller = set(drawn)


@patient
@given(group_sizes, st.floats(0.05, 1), seeds)
def test_a_budget_is_filled_by_whole_groups_but_the_last(sizes, fraction, seed):
    labels, groups = cells(sizes)
    rows = np.arange(len(labels))
    drawn = draw_or_none(labels, groups, rows, fraction, seed, "groups")
    assume(drawn is not None)
    names, taken = np.unique(groups[drawn], return_counts=True)
    assert sum(taken < [np.sum(groups == name) for name in names]) <= 1


@patient
@given(group_sizes, seeds, st.sampled_from(BY))
def test_the_smallest_fraction_works_and_a_cell_less_does_not(sizes, seed, by):
    labels, groups = cells(sizes)
    rows = np.arange(len(labels))
    smallest = smallest_fraction(labels, groups, rows, seed=seed, by=by)
    works = [draw_or_none(labels, groups, rows, count / len(rows), seed, by) is not None for count in rows + 1]
    if any(works):
        assert draw_or_none(labels, groups, rows, smallest, seed, by) is not None
        assert works.index(True) + 1 == np.floor(smallest * len(rows) + 1e-9)
    else:
        assert smallest == 1.0


def test_the_smallest_fraction_is_rounded_up():
    labels, groups = cells([(1, 1)] * 3000)
    smallest = smallest_fraction(labels, groups, np.arange(6000), seed=0, by="groups")
    assert smallest == 0.001  # 3 or 4 cells of 6,000 would do
    assert len(draw(labels, groups, np.arange(6000), fraction=smallest, seed=0, by="groups")) == 6


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ([(5, 0), (0, 5), (0, 5)], "15 training cells hold 5 positive cells in 1 groups; needed are 2 in 2"),
        ([(5, 0), (5, 0)], "10 training cells hold 0 negative cells in 0 groups; needed are 2 in 2"),
    ],
)
def test_too_few_labels_give_a_reason(sizes, reason):
    labels, groups = cells(sizes)
    with pytest.raises(NotEnoughLabels) as skipped:
        draw(labels, groups, np.arange(len(labels)), fraction=1, seed=0, by="groups")
    assert str(skipped.value) == reason


def test_a_draw_is_stratified_by_kind_of_group_and_moved_by_the_seed():
    labels, groups = cells([(4, 0)] * 10 + [(0, 4)] * 60 + [(2, 2)] * 30)
    rows = np.arange(len(labels))
    drawn = [draw(labels, groups, rows, fraction=0.1, seed=seed, by="groups") for seed in range(20)]
    assert all(0.15 <= labels[one].mean() <= 0.35 for one in drawn)  # 0.25 of all cells
    assert len({one.tobytes() for one in drawn}) == 20


def test_whole_groups_are_drawn_whatever_the_order_of_the_cells():
    sizes = [(2, 2)] * 20
    (labels, groups), (other_labels, other_groups) = cells(sizes), cells(sizes, order=1)
    rows = np.arange(80)
    one = draw(labels, groups, rows, fraction=0.5, seed=0, by="groups")
    other = draw(
        other_labels, other_groups, np.random.default_rng(0).permutation(rows), fraction=0.5, seed=0, by="groups"
    )
    assert set(groups[one]) == set(other_groups[other])


@patient
@given(group_sizes, st.integers(1, 100), seeds)
def test_a_limit_takes_whole_groups_but_the_last(sizes, count, seed):
    labels, groups = cells(sizes)
    taken = sample_groups(labels, groups, count, seed=seed)
    assert len(taken) == min(count, len(labels))
    names, sizes_taken = np.unique(groups[taken], return_counts=True)
    assert sum(sizes_taken < [np.sum(groups == name) for name in names]) <= 1


# Inner folds


@patient
@given(group_sizes, st.sampled_from([2, 3, 4, 5, 7]), seeds)
def test_inner_parts_divide_the_drawn_rows_by_groups(sizes, folds, seed):
    labels, groups = cells(sizes)
    rows = np.flatnonzero(groups != "case-00")
    parts = inner_folds(labels, groups, rows, folds=folds, seed=seed)
    fewest = min(groups_of_class(labels[rows], groups[rows]))
    assert len(parts) == next((count for count in (folds, 5, 3, 2) if count <= folds and count <= fewest), 0)
    if parts:
        assert sorted(np.concatenate(parts)) == list(rows)
    for part in parts:
        rest = np.setdiff1d(rows, part)
        assert not set(groups[part]) & set(groups[rest])
        assert set(labels[part]) == set(labels[rest]) == {0, 1}


@patient
@given(group_sizes, seeds)
def test_whatever_can_be_drawn_has_inner_folds(sizes, seed):
    labels, groups = cells(sizes)
    drawn = draw_or_none(labels, groups, np.arange(len(labels)), 0.5, seed, "groups")
    assume(drawn is not None)
    assert len(inner_folds(labels, groups, drawn, folds=5, seed=0)) >= 2


@patient
@given(group_sizes, seeds)
def test_cells_that_are_there_twice_change_no_inner_fold(sizes, seed):
    labels, groups = cells(sizes)
    rows = np.arange(len(labels))
    once = inner_folds(labels, groups, rows, folds=3, seed=seed)
    twice = inner_folds(np.tile(labels, 2), np.tile(groups, 2), np.arange(2 * len(labels)), folds=3, seed=seed)
    assert [set(part) for part in once] == [set(part % len(labels)) for part in twice]
