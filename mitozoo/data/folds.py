"""The outer folds of a run, by every recipe: whole groups, random annotations, a domain left out, another dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from mitozoo.data.splits import Fold, Groups, Labels, Rows, in_drawing_order, outer_folds
from mitozoo.data.stratification import stratified_parts
from mitozoo.errors import SplitError

Recipe = Literal["auto", "official", "grouped", "random", "grouped-draws", "leave-one-domain-out", "single-domain"]
BY_DOMAIN = ("leave-one-domain-out", "single-domain")
DATASET = "dataset"  # the domain that tells joined datasets apart
TESTED_SHARE = 0.2  # of a random draw of annotations or of groups
REFERENCE_PARTS = 2  # a left-out domain's cases are tested half by half against training that saw the other half

Domains = Mapping[str, npt.NDArray[np.str_]]


@dataclass(frozen=True)
class SplitRecipe:
    """How outer folds are made.

    Attributes:
        name: 'auto', 'official', 'grouped'; 'random' (draws of annotations, which leak) and 'grouped-draws' (their
            twin by groups), each testing a fifth; 'leave-one-domain-out' or 'single-domain'.
        folds: number of grouped folds, or of draws.
        seed: fixed, the same for every model.
        domain: for the last two recipes, which domain.
        trained_on: of joined datasets, the one that is trained on; all others are tested. '': one dataset only.
    """

    name: str
    folds: int
    seed: int
    domain: str = ""
    trained_on: str = ""

    @property
    def leaks(self) -> bool:
        """Whether groups are divided between the sides by design."""
        return self.name == "random"

    def __post_init__(self) -> None:
        if self.name not in get_args(Recipe):
            raise SplitError(f"split is '{self.name}'; it must be one of {', '.join(get_args(Recipe))}")
        if (self.name in BY_DOMAIN) != bool(self.domain):
            raise SplitError(
                f"split '{self.name}' goes by a domain, and none was named"
                if self.name in BY_DOMAIN
                else f"a domain was named, and split '{self.name}' goes by none",
                hint="Say --split leave-one-domain-out --domain tumour, for example.",
            )


def make_folds(
    labels: Labels,
    groups: Groups,
    official: npt.NDArray[np.str_],
    domains: Domains,
    recipe: SplitRecipe,
    names: Sequence[str] = (),
) -> list[Fold]:
    """Return the outer folds.

    Args:
        labels: (n,) 0 or 1.
        groups: (n,) what must never be divided: names, or numbers in the order of the names.
        official: (n,) 'train', 'test' or ''.
        domains: domain -> (n,) its values.
        recipe: how.
        names: of the groups, where these are numbers; for messages.

    Raises:
        SplitError: no such folds exist; the message says why.
    """
    if recipe.trained_on:
        return _across_datasets(labels, domains[DATASET], recipe.trained_on)
    if recipe.name in ("random", "grouped-draws"):
        return _draws(labels, groups, recipe)
    if recipe.name not in BY_DOMAIN:
        return outer_folds(
            labels, groups, official, recipe=recipe.name, folds=recipe.folds, seed=recipe.seed, names=names
        )
    values = _values(domains, recipe)
    if recipe.name == "leave-one-domain-out":
        return _leave_one_domain_out(labels, groups, values, recipe)
    whole = outer_folds(labels, groups, official, recipe="auto", folds=recipe.folds, seed=recipe.seed, names=names)
    return _single_domain(whole, labels, groups, values, recipe)


def confounded(folds: Sequence[Fold], domains: Domains, recipe: SplitRecipe) -> dict[str, dict[str, list[str]]]:
    """Return, for each fold, what else was never trained on: other domains' values that only its test cells have."""
    found: dict[str, dict[str, list[str]]] = {}
    for fold in folds:
        if fold.reference_for is not None:
            continue
        unseen = {
            name: sorted(set(values[fold.test].tolist()) - set(values[fold.train].tolist()))
            for name, values in domains.items()
            if name != recipe.domain
        }
        if only := {name: values for name, values in unseen.items() if values}:
            found[fold.name or str(fold.index)] = only
    return found


def _values(domains: Domains, recipe: SplitRecipe) -> npt.NDArray[np.str_]:
    if recipe.domain not in domains:
        known = ", ".join(sorted(domains)) or "none"
        raise SplitError(f"this dataset has no domain '{recipe.domain}'", hint=f"Its domains: {known}.")
    values = domains[recipe.domain]
    names = np.unique(values[values != ""])
    if len(names) < 2:
        only = f"one value only, '{names[0]}'" if len(names) else "no value"
        raise SplitError(
            f"domain '{recipe.domain}' has {only}, and split '{recipe.name}' needs two", hint="Name another --domain."
        )
    return values


def _leave_one_domain_out(
    labels: Labels, groups: Groups, values: npt.NDArray[np.str_], recipe: SplitRecipe
) -> list[Fold]:
    """Test each domain by training on all others; reference folds, of equal size and mix, saw other cases of it too."""
    folds: list[Fold] = []
    for value in np.unique(values[values != ""]):
        inside = values == value
        test = np.flatnonzero(inside)
        train = np.flatnonzero(~np.isin(groups, groups[test]) & (values != ""))
        if not (_both_classes(labels, train) and _both_classes(labels, test)):
            continue
        tested = len(folds)
        folds.append(Fold(tested, train, test, f"{recipe.domain}={value}"))
        fewest = min(len(np.unique(groups[test][labels[test] == label])) for label in (0, 1))
        parts = stratified_parts(labels[test], groups[test], REFERENCE_PARTS, recipe.seed) if fewest > 1 else []
        for number, part in enumerate(parts):
            held_out, others = test[part], np.setdiff1d(test, test[part])
            mixed = _exchange(labels, groups, train, others, recipe.seed)
            name = f"{recipe.domain}={value}, reference {number}"
            folds.append(Fold(len(folds), mixed, held_out, name, reference_for=tested))
    if not folds:
        raise SplitError(f"no value of domain '{recipe.domain}' leaves both classes on both sides when it is left out")
    return folds


def _exchange(labels: Labels, groups: Groups, train: Rows, others: Rows, seed: int) -> Rows:
    """Return as many training rows of each class, cells of the left-out domain in place of some of the others."""
    kept = []
    for label in (0, 1):
        own = in_drawing_order(labels, groups, others[labels[others] == label], seed)
        rest = in_drawing_order(labels, groups, train[labels[train] == label], seed)
        kept.append(np.concatenate([own, rest])[: len(rest)])
    return np.sort(np.concatenate(kept))


def _single_domain(
    whole: list[Fold], labels: Labels, groups: Groups, values: npt.NDArray[np.str_], recipe: SplitRecipe
) -> list[Fold]:
    """Train on each domain alone, and test on the test cells of every domain."""
    folds: list[Fold] = []
    for value in np.unique(values[values != ""]):
        for fold in whole:
            train = fold.train[values[fold.train] == value]
            enough = all(len(np.unique(groups[train][labels[train] == label])) > 1 for label in (0, 1))
            if enough:
                name = f"{recipe.domain}={value}"
                folds.append(Fold(len(folds), train, fold.test, name, trained_on=name))
    if not folds:
        raise SplitError(f"no value of domain '{recipe.domain}' has two groups of each class to train on")
    return folds


def _across_datasets(labels: Labels, datasets: npt.NDArray[np.str_], trained_on: str) -> list[Fold]:
    train = np.flatnonzero(datasets == trained_on)
    folds: list[Fold] = []
    for name in np.unique(datasets[datasets != trained_on]):
        test = np.flatnonzero(datasets == name)
        for side, rows in ((trained_on, train), (name, test)):
            if not _both_classes(labels, rows):
                raise SplitError(f"dataset '{side}' has cells of one class only")
        folds.append(Fold(len(folds), train, test, f"{DATASET}={name}"))
    return folds


def _draws(labels: Labels, groups: Groups, recipe: SplitRecipe) -> list[Fold]:
    """Draw a fifth of the annotations, or of the groups, as test side, once for each seed from the recipe's on."""
    folds = []
    for index in range(recipe.folds):
        random = np.random.RandomState(recipe.seed + index)
        if recipe.name == "random":
            test = np.sort(random.choice(len(labels), int(TESTED_SHARE * len(labels)), replace=False))
        else:
            names = random.permutation(np.unique(groups))
            sizes = np.array([np.sum(groups == name) for name in names])
            taken = max(1, int(np.searchsorted(np.cumsum(sizes), TESTED_SHARE * len(labels))))
            test = np.flatnonzero(np.isin(groups, names[:taken]))
        train = np.setdiff1d(np.arange(len(labels)), test)
        if not (_both_classes(labels, train) and _both_classes(labels, test)):
            raise SplitError(f"draw {index} leaves one class only on a side", hint="Use --split grouped.")
        folds.append(Fold(index, train, test))
    return folds


def _both_classes(labels: Labels, rows: Rows) -> bool:
    return len(np.unique(labels[rows])) == 2
