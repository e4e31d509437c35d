"""A batch that does not fit is halved, nothing is lost or done twice, and the user is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mitozoo.errors import ModelError
from mitozoo.models.devices import place
from mitozoo.models.memory import Halving, that_fit

PATCHES = np.arange(23, dtype=np.uint8).reshape(23, 1, 1, 1)


class Small:
    """A device that holds a certain number of patches; remembers how many it was given.

    It says that it is full at once, as an allocator does, or only when the embeddings are waited for.
    """

    def __init__(self, holds: int, error: RuntimeError | None = None, *, late: bool = False) -> None:
        self.holds, self.late, self.tried, self.waited = holds, late, [], []
        self.error = error or torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    def __call__(self, patches):
        self.tried.append(len(patches))
        if len(patches) > self.holds and not self.late:
            raise self.error

        def wait():
            self.waited.append(len(patches))
            if len(patches) > self.holds:
                raise self.error
            return patches.reshape(len(patches), 1).astype(np.float32)

        return wait


def embed(device, patches=PATCHES, told=lambda text: None):
    return Halving(device, told).start(patches)()


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("holds", [1, 2, 5, 11, 22, 23])
def test_every_patch_is_embedded_once_and_in_order(holds, late):
    embedded = embed(Small(holds, late=late))
    np.testing.assert_array_equal(embedded[:, 0], np.arange(23))


@pytest.mark.parametrize("late", [False, True])
def test_batches_under_way_keep_their_order_when_one_does_not_fit(late):
    """All are started before any is waited for; the second and the fourth are too large."""
    device, told = Small(6, late=late), []
    halving = Halving(device, told.append)
    batches = np.split(PATCHES, [4, 13, 16])  # of 4, 9, 3 and 7
    waiting = [halving.start(batch) for batch in batches]
    assert device.waited == [], "nothing is waited for before it must be"
    np.testing.assert_array_equal(np.concatenate([wait() for wait in waiting])[:, 0], np.arange(23))
    assert device.tried == ([4, 9, 3, 7, 4, 4, 1, 4, 3] if late else [4, 9, 4, 4, 1, 3, 4, 3])
    assert told == ["9 patches at once do not fit into memory: going on with 4"]


def test_windows_of_several_sizes_are_halved_like_an_array():
    device = Small(5)
    embedded = embed(
        lambda windows: device(np.stack([window[:1, :1, 0] for window in windows])),
        [np.full((3 + number % 4, 3, 3), number, dtype=np.uint8) for number in range(23)],
    )
    np.testing.assert_array_equal(embedded[:, 0], np.arange(23))
    assert max(device.tried[2:]) == 5


def test_the_smaller_batch_is_kept_and_told_once():
    device, told = Small(6), []
    halving = Halving(device, told.append)
    for _ in range(2):
        np.testing.assert_array_equal(halving.start(PATCHES)()[:, 0], np.arange(23))
    assert device.tried == [23, 11, 5, 5, 5, 5, 3, 5, 5, 5, 5, 3]
    assert told == [
        "23 patches at once do not fit into memory: going on with 11",
        "11 patches at once do not fit into memory: going on with 5",
    ]


def test_what_fits_is_untouched():
    device = Small(64)
    embedded = embed(device)
    assert device.tried == [23]
    assert embedded.dtype == np.float32


@pytest.mark.parametrize(
    "sentence", [
        "MPS backend out of memory (MPS allocated: 9.06 GB)", "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)  # fmt: skip
def test_some_devices_and_libraries_say_it_in_words(sentence):
    np.testing.assert_array_equal(embed(Small(8, RuntimeError(sentence)))[:, 0], np.arange(23))


@pytest.mark.parametrize("late", [False, True])
def test_below_one_patch_says_so(late):
    with pytest.raises(ModelError, match="does not hold the network and one patch") as caught:
        embed(Small(0, late=late))
    assert "--device cpu" in caught.value.hint
    assert isinstance(caught.value.__cause__, torch.cuda.OutOfMemoryError)


def test_other_failures_are_not_taken_for_a_lack_of_memory():
    device = Small(0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        embed(device)
    assert device.tried == [23]


def test_a_network_that_does_not_fit_at_all_says_so(monkeypatch):
    def too_large(*args, **kwargs):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    network = torch.nn.Linear(2, 2)
    monkeypatch.setattr(network, "to", too_large)
    with pytest.raises(ModelError, match="the memory of cuda does not hold the network"):
        place(network, "cuda")


def test_what_fits_by_what_a_patch_takes():
    """A share of 0.8 of the free memory; never less than one patch, which then says itself that it does not fit."""
    assert that_fit(256, 1e6, free=10**9) == 256
    assert that_fit(256, 4e6, free=10**9) == 128
    assert that_fit(256, 6.25e6, free=10**9) == 128  # 128 x 6.25 MB: the 800 MB to the last byte
    assert that_fit(256, 6.26e6, free=10**9) == 64
    assert that_fit(256, 10**10, free=10**9) == 1


def test_a_processor_is_not_asked_what_fits():
    device = Small(64)
    halving = Halving(device)
    halving.fit(PATCHES, "cpu")
    assert (device.tried, halving.limit) == ([], None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_a_few_patches_tell_what_fits():
    free = torch.cuda.mem_get_info()[0]
    each = free // 40  # bytes that a patch takes here

    def launch(patches):
        held = torch.empty(len(patches) * each, dtype=torch.uint8, device="cuda")
        return lambda: np.zeros((len(patches), len(held.shape)), dtype=np.float32)

    told = []
    halving = Halving(launch, told.append)
    halving.fit(np.zeros((64, 1, 1, 3), dtype=np.uint8), "cuda")
    assert halving.limit == 32
    assert told == ["64 patches at once do not fit into memory: going on with 32"]


def test_convolutions_lie_with_their_channels_last_and_transformers_as_they_were():
    convolutional = place(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 8, 3)), "cpu")
    assert convolutional[1].weight.is_contiguous(memory_format=torch.channels_last)
    transformer = place(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 4), torch.nn.Linear(8, 8)), "cpu")
    assert transformer[0].weight.is_contiguous()
