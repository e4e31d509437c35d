"""Preprocessing on the encoder's device: PIL's own bytes, for windows of any side, in any company."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mitozoo.models import batched_preprocessing as batched
from mitozoo.models import preprocessing as single
from mitozoo.models.batched_preprocessing import pil_weights, prepare, works_for
from mitozoo.plugins.preprocessing import Preprocessing


def recipe(**changes) -> Preprocessing:
    fields = {"size": 32, "resize": "short-side", "resize_to": 37, "interpolation": "bicubic", "antialias": True}
    statistics = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "mpp": None, "mpp_basis": "none"}
    return Preprocessing(**fields | statistics | changes)


def noise(side: int, seed: int = 0) -> np.ndarray:
    """Return what resampling finds hardest: every value beside any other, black and white too."""
    pixels = np.random.default_rng(seed).integers(-60, 316, (side, side, 3))
    return pixels.clip(0, 255).astype(np.uint8)


SIDES = {
    "side": st.integers(1, 200), "size": st.integers(1, 90), "seed": st.integers(0, 99),
    "interpolation": st.sampled_from(["bilinear", "bicubic"]),
}  # fmt: skip


@settings(deadline=None, max_examples=80)
@given(**SIDES)
def test_a_whole_window_is_resampled_to_pils_bytes(side, size, seed, interpolation):
    preprocessing, window = recipe(size=size, resize_to=size, interpolation=interpolation), noise(side, seed)
    seen = batched.resample(torch.from_numpy(window)[None], preprocessing)
    np.testing.assert_array_equal(seen[0].numpy(), single.resample(window, preprocessing))
    assert seen.dtype == torch.uint8


@settings(deadline=None, max_examples=60)
@given(**SIDES, extra=st.integers(0, 20), resize=st.sampled_from(["short-side", "square", "none"]))
def test_the_authors_rule_gives_the_same_bytes_too(side, size, seed, interpolation, extra, resize):
    preprocessing = recipe(size=size, resize=resize, resize_to=size + extra, interpolation=interpolation)
    window = noise(side, seed)
    seen = batched.as_authors_see(torch.from_numpy(window)[None], preprocessing)
    np.testing.assert_array_equal(seen[0].numpy(), single.as_authors_see(window, preprocessing))


DEVICES = [name for name, here in {
    "cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(),
}.items() if here]  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("authors", [False, True])
def test_windows_of_several_sizes_keep_their_places_on_each_device_of_this_machine(authors, device):
    windows = [noise(side, seed) for seed, side in enumerate([50, 20, 32, 50, 37, 20, 129])]
    seen = prepare(windows, recipe(), device, authors=authors)
    alone = [(single.as_authors_see if authors else single.resample)(window, recipe()) for window in windows]
    np.testing.assert_array_equal(seen.cpu().numpy(), alone)
    assert seen.device.type == device


def test_more_windows_than_are_summed_at_once(monkeypatch):
    windows = [noise(40, seed) for seed in range(10)]
    whole = prepare(windows, recipe(), "cpu", authors=False)
    monkeypatch.setattr(batched, "AT_ONCE", 3)
    assert torch.equal(prepare(windows, recipe(), "cpu", authors=False), whole)


def test_weights_by_hand():
    """Halving: each output pixel lies between two input pixels, and the triangle reaches four: 1, 3, 3, 1 eighths."""
    sources, weights = pil_weights(8, 4, "bilinear")
    np.testing.assert_array_equal(sources[:4, 1], [1, 2, 3, 4])
    np.testing.assert_array_equal(weights[:4, 1] / 2**22, np.array([1, 3, 3, 1]) / 8)


def test_only_what_pil_resamples_is_resampled_here():
    assert works_for(recipe())
    assert not works_for(recipe(antialias=False))
