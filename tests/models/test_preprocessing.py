"""Preprocessing: the whole window, resampled once; the authors' transform, pixel for pixel as torchvision does it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from mitozoo.errors import ModelError
from mitozoo.models.preprocessing import authors_transform, normalise, resample
from mitozoo.plugins.preprocessing import Preprocessing

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
ODD = {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3}


def recipe(**changes) -> Preprocessing:
    fields = {"size": 224, "resize": "short-side", "resize_to": 256, "interpolation": "bicubic", "antialias": True}
    return Preprocessing(**fields | {"mpp": None, "mpp_basis": "none"} | IMAGENET | changes)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def torchvisions_own(preprocessing: Preprocessing) -> transforms.Compose:
    """The same words, said to torchvision."""
    mode = InterpolationMode(preprocessing.interpolation)
    side = preprocessing.resize_to
    resize = {
        "short-side": [transforms.Resize(side, mode)],
        "square": [transforms.Resize((side, side), mode)],
        "none": [],
    }[preprocessing.resize]
    return transforms.Compose(
        [*resize, transforms.CenterCrop(preprocessing.size), transforms.ToTensor(),
         transforms.Normalize(preprocessing.mean, preprocessing.std)]
    )  # fmt: skip


def ours(image: Image.Image, preprocessing: Preprocessing) -> torch.Tensor:
    pixels = authors_transform(preprocessing)(image)
    return normalise(torch.from_numpy(pixels.copy())[None], preprocessing)[0]


@settings(deadline=None, max_examples=60)
@given(
    width=st.integers(20, 90), height=st.integers(20, 90), size=st.integers(8, 40), extra=st.integers(0, 17),
    resize=st.sampled_from(["short-side", "square"]), interpolation=st.sampled_from(["bilinear", "bicubic"]),
)  # fmt: skip
def test_the_authors_transform_is_torchvisions_at_every_size(width, height, size, extra, resize, interpolation):
    preprocessing = recipe(size=size, resize=resize, resize_to=size + extra, interpolation=interpolation)
    image = Image.fromarray(noise(height, width))
    torch.testing.assert_close(ours(image, preprocessing), torchvisions_own(preprocessing)(image), rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(width=st.integers(40, 90), height=st.integers(40, 90), size=st.integers(8, 40))
def test_cropping_alone_is_torchvisions_too(width, height, size):
    preprocessing = recipe(size=size, resize="none", resize_to=size)
    image = Image.fromarray(noise(height, width))
    torch.testing.assert_close(ours(image, preprocessing), torchvisions_own(preprocessing)(image), rtol=0, atol=1e-6)


@pytest.mark.shared
@pytest.mark.parametrize("rule", [
    recipe(), recipe(resize_to=232, interpolation="bilinear"), recipe(resize="square", resize_to=224, **ODD),
    recipe(size=518, resize_to=518), recipe(size=96, resize="none", resize_to=96),
])  # fmt: skip
def test_real_tissue_comes_out_as_from_torchvision(shared_data, rule):
    fields = sorted((shared_data / "brecahad").rglob("*.jpg"))[:2]
    crops = sorted((shared_data / "ami-br" / "AMi-Br" / "Atypical").glob("*.png"))[:4]
    assert fields
    assert crops
    for path in [*fields, *crops]:
        image = Image.open(path)
        torch.testing.assert_close(ours(image, rule), torchvisions_own(rule)(image.convert("RGB")), rtol=0, atol=1e-6)


def test_a_known_crop_by_hand():
    """An independent count: 101 x 60 to a short side of 30 is 50 x 30 (50.5 truncated), cropped at 11 and 1."""
    image = Image.fromarray(noise(60, 101))
    by_hand = np.asarray(image.resize((50, 30), Image.Resampling.BICUBIC))[1:29, 11:39]
    np.testing.assert_array_equal(authors_transform(recipe(size=28, resize_to=30))(image), by_hand)


def test_other_colour_modes_become_rgb():
    grey = Image.fromarray(noise(64, 64)[..., 0])
    pixels = authors_transform(recipe(size=32, resize_to=32))(grey)
    assert pixels.shape == (32, 32, 3)
    assert (pixels == pixels[..., :1]).all()


def test_a_tile_smaller_than_the_crop_is_refused_rather_than_padded_with_black():
    with pytest.raises(ModelError, match="300 x 200 px is smaller than the model's crop of 224 px"):
        authors_transform(recipe(resize="none", resize_to=224))(Image.fromarray(noise(200, 300)))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [97, 224, 448, 131])
def test_a_window_is_resampled_once_and_whole(side, interpolation):
    window = noise(side, side)
    seen = resample(window, recipe(interpolation=interpolation))
    expected = Image.fromarray(window).resize((224, 224), getattr(Image.Resampling, interpolation.upper()))
    np.testing.assert_array_equal(seen, expected)
    assert seen.dtype == np.uint8


def test_the_windows_very_edge_reaches_the_network():
    """The model's own crop would throw an edge of 1/8 away; here each corner is still to be seen."""
    window = np.zeros((448, 448, 3), np.uint8)
    for corner in (np.s_[:4, :4], np.s_[:4, -4:], np.s_[-4:, :4], np.s_[-4:, -4:]):
        window[corner] = 255
    seen = resample(window, recipe(resize_to=256))
    assert all(seen[y, x].min() > 200 for y in (0, -1) for x in (0, -1))


def test_a_window_of_the_right_size_is_left_alone():
    window = noise(224, 224)
    np.testing.assert_array_equal(resample(window, recipe()), window)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_without_antialias_shrinking_is_not_low_passed(interpolation):
    window = noise(448, 500)
    preprocessing = recipe(interpolation=interpolation, antialias=False)
    tensor = torch.from_numpy(window).permute(2, 0, 1)
    resize = transforms.Resize((224, 224), InterpolationMode(interpolation), antialias=False)
    np.testing.assert_array_equal(resample(window, preprocessing), resize(tensor).permute(1, 2, 0).numpy())
    assert (resample(window, preprocessing) != resample(window, recipe(interpolation=interpolation))).any()


@pytest.mark.parametrize("statistics", [IMAGENET, ODD])
def test_normalising_is_torchvisions(statistics):
    batch = np.stack([noise(32, 32, seed) for seed in range(3)])
    own = transforms.Compose([transforms.ToTensor(), transforms.Normalize(statistics["mean"], statistics["std"])])
    given_batch = torch.from_numpy(batch)
    seen = normalise(given_batch, recipe(size=32, resize_to=32, **statistics))
    torch.testing.assert_close(seen, torch.stack([own(image) for image in batch]), rtol=0, atol=1e-6)
    assert (seen.dtype, seen.shape) == (torch.float32, (3, 3, 32, 32))
    assert torch.equal(given_batch, torch.from_numpy(batch))  # the caller's batch is left as it was
