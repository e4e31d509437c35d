"""A batch that does not fit is halved, nothing is lost or done twice, and the user is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mitozoo.errors import ModelError
from mitozoo.models.devices import place
from mitozoo.models.memory import Halving

PATCHES = np.arange(23, dtype=np.uint8).reshape(23, 1, 1, 1)


class Small:
    """A device that holds a certain number of patches; remembers how many it was given."""

    def __init__(self, holds: int, error: RuntimeError | None = None) -> None:
        self.holds, self.tried = holds, []
        self.error = error or torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    def __call__(self, patches):
        self.tried.append(len(patches))
        if len(patches) > self.holds:
            raise self.error
        return patches.reshape(len(patches), 1).astype(np.float32)


@pytest.mark.parametrize("holds", [1, 2, 5, 11, 22, 23])
def test_every_patch_is_embedded_once_and_in_order(holds):
    embedded = Halving(Small(holds))(PATCHES)
    np.testing.assert_array_equal(embedded[:, 0], np.arange(23))


def test_windows_of_several_sizes_are_halved_like_an_array():
    device = Small(5)
    embedded = Halving(lambda windows: device(np.stack([window[:1, :1, 0] for window in windows])))(
        [np.full((3 + number % 4, 3, 3), number, dtype=np.uint8) for number in range(23)]
    )
    np.testing.assert_array_equal(embedded[:, 0], np.arange(23))
    assert max(device.tried[2:]) == 5


def test_the_smaller_batch_is_kept_and_told_once():
    device, told = Small(6), []
    embed = Halving(device, told.append)
    for _ in range(2):
        np.testing.assert_array_equal(embed(PATCHES)[:, 0], np.arange(23))
    assert device.tried == [23, 11, 5, 5, 5, 5, 3, 5, 5, 5, 5, 3]
    assert told == [
        "23 patches at once do not fit into memory: going on with 11",
        "11 patches at once do not fit into memory: going on with 5",
    ]


def test_what_fits_is_untouched():
    device = Small(64)
    embedded = Halving(device)(PATCHES)
    assert device.tried == [23]
    assert embedded.dtype == np.float32


def test_apples_devices_say_it_in_words():
    embed = Halving(Small(8, RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB)")))
    np.testing.assert_array_equal(embed(PATCHES)[:, 0], np.arange(23))


def test_below_one_patch_says_so():
    with pytest.raises(ModelError, match="does not hold the network and one patch") as caught:
        Halving(Small(0))(PATCHES)
    assert "--device cpu" in caught.value.hint
    assert isinstance(caught.value.__cause__, torch.cuda.OutOfMemoryError)


def test_other_failures_are_not_taken_for_a_lack_of_memory():
    device = Small(0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        Halving(device)(PATCHES)
    assert device.tried == [23]


def test_a_network_that_does_not_fit_at_all_says_so(monkeypatch):
    def too_large(*args, **kwargs):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    network = torch.nn.Linear(2, 2)
    monkeypatch.setattr(network, "to", too_large)
    with pytest.raises(ModelError, match="the memory of cuda does not hold the network"):
        place(network, "cuda")
