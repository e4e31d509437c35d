"""Controls that never see the image: what labels alone score, by knowing where a cell comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from mitozoo.statistics.arrays import Floats


def slide_prior(train_labels: ArrayLike, train_groups: ArrayLike, test_groups: ArrayLike) -> Floats:
    """Return (m,) scores: the positive rate of the cell's group (or slide) in training, else of all."""
    return _rates(train_labels, train_groups, test_groups)


def domain_prior(train_labels: ArrayLike, train_values: ArrayLike, test_values: ArrayLike) -> Floats:
    """Return (m,) scores: the positive rate in training of the cell's tumour, scanner, lab or species, else of all."""
    return _rates(train_labels, train_values, test_values)


def test_slide_rate(test_labels: ArrayLike, test_slides: ArrayLike) -> Floats:
    """Return (m,) scores of an oracle: the positive rate of the cell's own test slide, its own label included."""
    return _rates(test_labels, test_slides, test_slides)


test_slide_rate.__test__ = False  # type: ignore[attr-defined]  # a control, whatever pytest thinks of its name


def _rates(labels: ArrayLike, known: ArrayLike, asked: ArrayLike) -> Floats:
    positive = np.asarray(labels, dtype=float)
    if not len(positive):
        raise ValueError("a positive rate needs at least one labelled cell")
    names, rows = np.unique(np.asarray(known), return_inverse=True)
    rates = np.bincount(rows, positive) / np.bincount(rows)
    wanted = np.asarray(asked)
    place = np.minimum(np.searchsorted(names, wanted), len(names) - 1)
    return np.where(names[place] == wanted, rates[place], positive.mean())
