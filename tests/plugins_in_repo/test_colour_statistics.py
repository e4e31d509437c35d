"""Colour statistics: equal to numpy's and scikit-image's, and blind to shape."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.color
import skimage.data
import torch
from PIL import Image

import mitozoo_plugin_controls as plugin
from mitozoo.models.encoder import load_encoder
from mitozoo.models.preprocessing import normalise, resample

SPEC = plugin.COLOUR_STATISTICS


@pytest.fixture(scope="module")
def encoder():
    return load_encoder(SPEC)


def by_scikit_image(pixels: np.ndarray) -> np.ndarray:
    """Mean, sd and quantiles of each channel of RGB (0..1) and HED, in double precision."""
    channels = np.concatenate([pixels / 255.0, skimage.color.rgb2hed(pixels)], axis=2).reshape(-1, 6)
    quantiles = np.quantile(channels, [0.05, 0.25, 0.50, 0.75, 0.95], axis=0)
    return np.concatenate([channels.mean(axis=0), channels.std(axis=0), quantiles.T.ravel()])


def embed(encoder, windows: list[np.ndarray]) -> np.ndarray:
    batch = np.stack([resample(window, SPEC.preprocessing) for window in windows])
    with torch.no_grad():
        return encoder(normalise(torch.from_numpy(batch), SPEC.preprocessing)).numpy()


def check_against_scikit_image(encoder, windows: list[np.ndarray]) -> None:
    expected = [by_scikit_image(resample(window, SPEC.preprocessing)) for window in windows]
    np.testing.assert_allclose(embed(encoder, windows), expected, rtol=0, atol=2e-6)


def test_it_equals_numpy_and_scikit_image(encoder):
    black, white = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    check_against_scikit_image(encoder, [skimage.data.immunohistochemistry(), noise, black, white])


@pytest.mark.shared
def test_it_does_so_on_real_tissue(encoder, shared_data):
    crops = sorted((shared_data / "ami-br" / "AMi-Br" / "Normal").glob("*.png"))[::400]
    assert len(crops) > 3
    check_against_scikit_image(encoder, [np.asarray(Image.open(crop).convert("RGB")) for crop in crops])


def test_it_sees_colours_and_no_shapes(encoder):
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    shuffled = np.random.default_rng(2).permutation(image.reshape(-1, 3)).reshape(image.shape)
    seen = embed(encoder, [image, shuffled, image[..., ::-1]])
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-6)
    assert np.abs(seen[0] - seen[2]).max() > 0.01


def test_a_patch_does_not_depend_on_its_batch(encoder):
    windows = list(np.random.default_rng(3).integers(0, 256, (7, 64, 64, 3), dtype=np.uint8))
    np.testing.assert_allclose(embed(encoder, windows)[3], embed(encoder, windows[3:4])[0], atol=1e-6)


def test_it_is_a_control_and_says_so():
    assert SPEC.controls_only
    assert SPEC.embed_dim == 6 * (2 + len(plugin.QUANTILES))
    assert plugin.mitozoo_models() == [SPEC]


def test_a_large_batch_is_no_obstacle(encoder):
    """torch.quantile refuses more than 16 million values."""
    with torch.no_grad():
        assert encoder(torch.rand(700, 3, 64, 64)).isfinite().all()
