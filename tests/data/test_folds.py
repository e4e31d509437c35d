"""Outer folds by every recipe: what they test, what they never train on, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitozoo.data.folds import SplitRecipe, confounded, make_folds
from mitozoo.errors import SplitError

TUMOURS = ("breast", "lung", "skin")


def a_dataset(groups_per_tumour=(8, 6, 5), seed=0):
    """Labels, groups and domains of cells whose groups lie in one tumour each, in a mixed order."""
    random = np.random.RandomState(seed)
    rows = []
    for tumour, count in zip(TUMOURS, groups_per_tumour, strict=True):
        for case in range(count):
            scanner = "A" if tumour == "breast" else "B"
            rows += [(label, f"{tumour}-{case:02}", tumour, scanner) for label in [0, 1] + [0] * random.randint(6)]
    order = random.permutation(len(rows))
    labels, groups, tumours, scanners = (np.array([rows[row][column] for row in order]) for column in range(4))
    return labels.astype(np.int8), groups, {"tumour": tumours, "scanner": scanners}


def folds_by(name, domain="", *, folds=5, seed=0, trained_on="", data=None):
    labels, groups, domains = data or a_dataset()
    recipe = SplitRecipe(name, folds, seed, domain, trained_on)
    return make_folds(labels, groups, np.full(len(labels), ""), domains, recipe), labels, groups, domains


def test_a_left_out_domain_is_tested_whole_and_never_trained_on():
    folds, labels, _, domains = folds_by("leave-one-domain-out", "tumour")
    tested = [fold for fold in folds if fold.reference_for is None]
    assert [fold.name for fold in tested] == [f"tumour={name}" for name in TUMOURS]
    assert [fold.index for fold in folds] == list(range(len(folds)))
    for fold, name in zip(tested, TUMOURS, strict=True):
        assert set(domains["tumour"][fold.test]) == {name}
        assert name not in domains["tumour"][fold.train]
        assert len(fold.test) + len(fold.train) == len(labels)


def test_references_are_of_equal_size_and_mix_saw_the_domain_and_share_no_case_with_their_test():
    folds, labels, groups, domains = folds_by("leave-one-domain-out", "tumour")
    for fold in folds:
        if fold.reference_for is None:
            parts = [other for other in folds if other.reference_for == fold.index]
            assert sorted(np.concatenate([part.test for part in parts])) == sorted(fold.test)
            continue
        source = folds[fold.reference_for]
        assert np.bincount(labels[fold.train]).tolist() == np.bincount(labels[source.train]).tolist()
        assert len(np.unique(fold.train)) == len(fold.train)
        left_out = source.name.removeprefix("tumour=")
        assert left_out in domains["tumour"][fold.train]
        assert not set(groups[fold.train]) & set(groups[fold.test])


def test_a_case_with_slides_in_two_domains_is_trained_on_in_neither_fold():
    labels, groups, domains = a_dataset()
    moved = np.flatnonzero(groups == "lung-00")[:1]
    domains["tumour"][moved] = "breast"
    folds, *_ = folds_by("leave-one-domain-out", "tumour", data=(labels, groups, domains))
    for fold in folds:
        assert not set(groups[fold.train]) & set(groups[fold.test])


def test_single_domains_train_on_one_and_test_on_all():
    folds, labels, groups, domains = folds_by("single-domain", "tumour")
    assert {fold.trained_on for fold in folds} == {f"tumour={name}" for name in TUMOURS}
    for fold in folds:
        assert set(domains["tumour"][fold.train]) == {fold.trained_on.removeprefix("tumour=")}
        assert not set(groups[fold.train]) & set(groups[fold.test])
    breast = [fold for fold in folds if fold.trained_on == "tumour=breast"]
    assert sorted(np.concatenate([fold.test for fold in breast])) == list(range(len(labels)))


def test_random_draws_are_the_published_ones_and_their_grouped_twins_share_no_case():
    folds, labels, groups, _ = folds_by("random", folds=3, seed=42)
    for index, fold in enumerate(folds):
        published = np.random.RandomState(42 + index).choice(len(labels), int(0.2 * len(labels)), replace=False)
        assert set(fold.test) == set(published)
        assert sorted([*fold.train, *fold.test]) == list(range(len(labels)))
    assert any(set(groups[fold.train]) & set(groups[fold.test]) for fold in folds)
    twins, *_ = folds_by("grouped-draws", folds=3, seed=42)
    for fold in twins:
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert abs(len(fold.test) / len(labels) - 0.2) < 0.1


def test_another_dataset_is_tested_by_training_on_all_of_the_first():
    labels, groups, _ = a_dataset()
    names = np.where(np.char.startswith(groups, "breast"), "ours", "theirs")
    folds, *_ = folds_by("auto", trained_on="ours", data=(labels, groups, {"dataset": names}))
    assert [fold.name for fold in folds] == ["dataset=theirs"]
    assert set(names[folds[0].train]) == {"ours"}
    assert sorted([*folds[0].train, *folds[0].test]) == list(range(len(labels)))


def test_what_is_confounded_is_said():
    folds, _, _, domains = folds_by("leave-one-domain-out", "tumour")
    found = confounded(folds, domains, SplitRecipe("leave-one-domain-out", 5, 0, "tumour"))
    assert found == {"tumour=breast": {"scanner": ["A"]}}  # breast alone was scanned by A


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(2, 7), min_size=3, max_size=3))
def test_no_recipe_but_the_random_one_ever_divides_a_case(seed, sizes):
    data = a_dataset(sizes, seed)
    for name, domain in (
        ("leave-one-domain-out", "tumour"), ("single-domain", "scanner"), ("grouped", ""), ("grouped-draws", ""),
    ):  # fmt: skip
        folds, _, groups, _ = folds_by(name, domain, folds=2, seed=seed, data=data)
        assert folds
        for fold in folds:
            assert not set(groups[fold.train]) & set(groups[fold.test])
            assert np.all(np.diff(fold.train) > 0)
            assert np.all(np.diff(fold.test) > 0)


@pytest.mark.parametrize(
    ("name", "domain", "words"),
    [
        ("leave-one-domain-out", "", "goes by a domain"),
        ("grouped", "tumour", "goes by none"),
        ("leave-one-domain-out", "planet", "has no domain 'planet'"),
        ("leave-one-domain-out", "one", "has one value only, 'same'"),
        ("sorted", "", "must be one of"),
    ],
)
def test_what_cannot_be_split_so_is_refused(name, domain, words):
    labels, groups, domains = a_dataset()
    with pytest.raises(SplitError, match=words):
        folds_by(name, domain, data=(labels, groups, domains | {"one": np.full(len(labels), "same")}))
