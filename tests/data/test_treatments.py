"""Treatments of pixels: each does what its name says, leaves shapes alone, and is the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitozoo.data.treatments import PERTURBATIONS, Treatment, parse_perturbation, stain_normalisation
from mitozoo.errors import ProtocolError, UnknownNameError

UM_PER_PX = 0.25


@pytest.fixture(scope="module")
def tissue():
    """Purple blobs on pink ground, as float noise around two stains' colours."""
    random = np.random.RandomState(0)
    down, across = np.mgrid[:96, :96]
    blobs = (np.sin(down / 7.0) * np.cos(across / 9.0) > 0.3)[..., None]
    ground = np.where(blobs, (110, 70, 150), (225, 170, 200))
    return (ground + random.normal(0, 6, (96, 96, 3))).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", [name for name in PERTURBATIONS if name != "mpp"])
def test_a_perturbation_changes_pixels_alone_and_the_same_way_each_time(tissue, name):
    treatment = parse_perturbation(name)
    before = tissue.copy()
    once, again = treatment(tissue, UM_PER_PX), treatment(tissue, UM_PER_PX)
    assert once.shape == tissue.shape
    assert once.dtype == np.uint8
    assert (once != tissue).any()
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(tissue, before)


@pytest.mark.parametrize("text", ["hed=0", "colour=1", "brightness=1", "rotation=0", "mpp=1"])
def test_no_strength_is_no_change(tissue, text):
    difference = parse_perturbation(text)(tissue, UM_PER_PX).astype(int) - tissue
    assert np.abs(difference).max() <= 1  # rounding


def test_haematoxylin_and_eosin_are_those_of_scikit_image(tissue):
    from skimage.color import hed2rgb, rgb2hed

    stains = rgb2hed(tissue)
    reference = hed2rgb(stains * np.array([1.2, 0.8, 1.0])) * 255
    inside = (stains[..., :3] > 0.005).all(axis=-1)  # where it cuts no negative amount off
    assert inside.any()
    assert np.abs(parse_perturbation("hed=0.2")(tissue, UM_PER_PX) - reference)[inside].max() < 1.01


def test_a_blur_is_as_wide_in_microns_whatever_the_resolution(tissue):
    point = np.zeros((65, 65, 3), dtype=np.uint8)
    point[32, 32] = 255
    wide = parse_perturbation("blur=1")(point, 0.25)
    narrow = parse_perturbation("blur=1")(point, 0.5)
    spread = [
        np.sqrt((image[..., 0].sum(0) / image[..., 0].sum() * (np.arange(65) - 32) ** 2).sum())
        for image in (wide, narrow)
    ]
    assert spread[0] == pytest.approx(4, rel=0.15)
    assert spread[1] == pytest.approx(2, rel=0.15)


def test_a_wrong_resolution_shows_the_middle(tissue):
    seen = parse_perturbation("mpp=0.5")(tissue, UM_PER_PX)
    np.testing.assert_array_equal(seen, tissue[24:72, 24:72])


def test_a_turn_about_any_angle_leaves_no_empty_corner():
    plain = np.full((64, 64, 3), 200, dtype=np.uint8)
    assert (parse_perturbation("rotation=33")(plain, UM_PER_PX) == 200).all()


@pytest.mark.parametrize("name", ["macenko", "reinhard"])
def test_a_stain_normalisation_makes_two_stainings_more_alike(tissue, name):
    weak = (255 - 0.6 * (255 - tissue.astype(float))).astype(np.uint8)
    normalise = stain_normalisation(name)
    assert normalise is not None

    def apart(one, other):
        return np.abs(one.astype(float).mean((0, 1)) - other.astype(float).mean((0, 1))).sum()

    assert apart(normalise(tissue, UM_PER_PX), normalise(weak, UM_PER_PX)) < 0.5 * apart(tissue, weak)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 255), st.sampled_from(["macenko", "reinhard"]))
def test_a_window_of_one_colour_survives_every_normalisation(grey, name):
    window = np.full((32, 32, 3), grey, dtype=np.uint8)
    normalise = stain_normalisation(name)
    assert normalise is not None
    assert normalise(window, UM_PER_PX).shape == window.shape


def test_names_read_back():
    assert str(parse_perturbation("blur")) == "blur=0.5"
    assert parse_perturbation(str(Treatment("jpeg", 20.0))) == Treatment("jpeg", 20.0)
    assert stain_normalisation("none") is None


@pytest.mark.parametrize(
    ("text", "error"), [("warp", UnknownNameError), ("blur=x", ProtocolError), ("blur=99", ProtocolError)]
)
def test_what_is_no_perturbation_is_refused(text, error):
    with pytest.raises(error):
        parse_perturbation(text)
