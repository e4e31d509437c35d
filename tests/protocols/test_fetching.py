"""Batches come in order and whole, and are read before they are asked for, across the border of two runs too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitozoo.protocols.fetching import BATCHES_AHEAD, Reader

PATCHES = np.random.default_rng(0).integers(0, 256, (40, 2, 2, 3), dtype=np.uint8)


class Noted:
    """Patches that note which of them were read."""

    def __init__(self):
        self.read = []

    def __getitem__(self, rows):
        self.read.append(rows.tolist())
        return PATCHES[rows]


def batches(*rows):
    return [np.array(each) for each in rows]


def settled(reader):
    """Wait until all that was begun is read."""
    for _, found in reader._ahead:
        found.result()


def test_what_comes_next_is_read_while_the_last_batches_are_worked_on():
    patches = Noted()
    reader = Reader(patches, "cpu")
    training, validation = batches([0, 1], [2, 3], [4]), batches([5], [6], [7])
    for number, seen in enumerate(reader.read(training, validation)):
        assert np.array_equal(seen.numpy(), PATCHES[training[number]])
        settled(reader)
        assert patches.read == [rows.tolist() for rows in [*training, *validation][: number + 1 + BATCHES_AHEAD]]
    found = [seen.numpy() for seen in reader.read(validation)]
    assert all(np.array_equal(one, PATCHES[rows]) for one, rows in zip(found, validation, strict=True))
    assert patches.read == [[0, 1], [2, 3], [4], [5], [6], [7]]  # nothing was read twice


runs = st.lists(st.lists(st.integers(0, 39), min_size=1, max_size=3), max_size=4)


@given(st.lists(st.tuples(runs, runs), min_size=1, max_size=5))
def test_what_was_read_in_vain_is_never_given(asked):
    reader = Reader(PATCHES, "cpu")
    for now, then in asked:
        found = list(reader.read(batches(*now), batches(*then)))
        assert [each.numpy().tolist() for each in found] == [PATCHES[rows].tolist() for rows in now]


def test_a_failure_to_read_reaches_whoever_asks():
    class Broken:
        def __getitem__(self, rows):
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(Reader(Broken(), "cpu").read(batches([0])))
