"""Augmentation: the annotated centre stays in the middle, and the same generator gives the same views."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mitozoo.protocols import augmentation
from mitozoo.protocols.augmentation import MARGIN, MAX_SCALE, MAX_SHIFT, augment, random_motions

SIDE = 65


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def centres(motions):
    """Where each view shows the image's centre, -1..1: the point v with A v + t = 0."""
    return -torch.linalg.solve(motions[:, :, :2].double(), motions[:, :, 2:].double())[:, :, 0]


def test_ten_thousand_views_keep_the_centre_inside_the_central_quarter():
    motions = random_motions(10_000, generator())
    away = centres(motions).abs().amax(1)
    assert away.max() <= 2 * MAX_SHIFT + 1e-6
    assert away.max() < 0.25  # of -1..1: a quarter of the side, hence well inside a quarter of the area
    assert away.max() > 0.9 * 2 * MAX_SHIFT


def test_views_are_turned_mirrored_and_scaled_alike_in_all_directions():
    matrices = random_motions(10_000, generator())[:, :, :2].double()
    scale = torch.linalg.det(matrices).abs().sqrt()
    assert 1 - MAX_SCALE - 1e-6 <= scale.min() < 1 - 0.9 * MAX_SCALE
    assert 1 + MAX_SCALE + 1e-6 >= scale.max() > 1 + 0.9 * MAX_SCALE
    identity = torch.eye(2, dtype=torch.float64).expand(10_000, 2, 2)
    torch.testing.assert_close(matrices @ matrices.mT / scale[:, None, None] ** 2, identity, atol=1e-5, rtol=0)
    assert 0.47 < float((torch.linalg.det(matrices) < 0).double().mean()) < 0.53
    angles = torch.atan2(matrices[:, 1, 1], -matrices[:, 0, 1])
    assert torch.histc(angles, 8, -torch.pi, torch.pi).min() > 1100  # 1,250 expected


@pytest.mark.parametrize("margin", [0, 9])
def test_a_marked_centre_is_seen_where_the_motion_puts_it(margin):
    images = torch.full((300, 3, SIDE + 2 * margin, SIDE + 2 * margin), 0.9)
    images[:, :, margin + 31 : margin + 34, margin + 31 : margin + 34] = 0.1
    views = augment(images, generator(3), SIDE)
    assert views.shape[2:] == (SIDE, SIDE)
    expected = centres(random_motions(300, generator(3)))
    dark = (views.amax(dim=(1, 2, 3), keepdim=True) - views).mean(1).clamp(min=0).double()
    dark = torch.where(dark > 0.3, dark, 0.0)
    at = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE * 2 - 1
    seen = torch.stack([(dark * at).sum((1, 2)), (dark * at[:, None]).sum((1, 2))], 1) / dark.sum((1, 2))[:, None]
    assert (seen - expected).abs().max() < 2 / SIDE  # one pixel
    assert seen.abs().max() < 0.25


def test_ten_thousand_views_with_tissue_around_keep_a_marked_pixel_inside_the_central_quarter():
    side, margin = 24, 3
    images = torch.ones(1000, 1, side + 2 * margin, side + 2 * margin)
    images[:, :, 14:16, 14:16] = 0
    random = generator(8)
    outer = torch.ones(side, side, dtype=torch.bool)
    outer[side // 4 : -(side // 4), side // 4 : -(side // 4)] = False
    for _ in range(10):
        views = augmentation._move(images, random_motions(1000, random), side)[:, 0]
        assert (views.amin((1, 2)) < 0.5).all(), "the centre is not in sight"
        assert (views[:, outer] > 0.99).all(), "the centre is seen far out"


def test_what_shift_and_scale_bring_into_view_is_tissue(monkeypatch, no_stain):
    """Upright views through the margin equal views of a field without end; without the margin they do not."""

    def upright(count, generator):
        motions = random_motions(count, generator)
        scale = torch.linalg.det(motions[:, :, :2]).abs().sqrt()
        matrices = scale[:, None, None] * torch.eye(2)
        centres_at = torch.linalg.solve(motions[:, :, :2], motions[:, :, 2:])
        return torch.cat([matrices, matrices @ centres_at], 2)

    monkeypatch.setattr(augmentation, "random_motions", upright)
    field = torch.rand(40, 3, 3 * SIDE, 3 * SIDE, generator=generator(4))

    def view(margin):
        kept = slice(SIDE - margin, 2 * SIDE + margin)
        return augment(field[:, :, kept, kept], generator(5), SIDE)

    torch.testing.assert_close(view(math.ceil(MARGIN * SIDE)), view(SIDE), atol=1e-4, rtol=0)
    assert (view(0) - view(SIDE)).abs().amax() > 0.3


def test_turned_views_mirror_only_the_tips_of_their_corners(no_stain):
    field = torch.rand(60, 3, 3 * SIDE, 3 * SIDE, generator=generator(4))
    margin = math.ceil(MARGIN * SIDE)
    kept = slice(SIDE - margin, 2 * SIDE + margin)
    differs = (augment(field[:, :, kept, kept], generator(5), SIDE) - augment(field, generator(5), SIDE)).abs() > 1e-3
    share = differs.any(1).double().mean()
    assert share < 0.04
    bare = slice(SIDE, 2 * SIDE)
    before = (augment(field[:, :, bare, bare], generator(5), SIDE) - augment(field, generator(5), SIDE)).abs() > 1e-3
    assert before.any(1).double().mean() > 3 * share


def test_without_a_margin_the_whole_image_is_seen():
    images = torch.rand(8, 3, SIDE, SIDE, generator=generator(1))
    assert torch.equal(augment(images, generator(5)), augment(images, generator(5), SIDE))


def test_the_generator_alone_decides():
    images = torch.rand(8, 3, SIDE, SIDE, generator=generator(1))
    torch.manual_seed(0)
    one = augment(images, generator(5))
    torch.manual_seed(1)
    assert torch.equal(augment(images, generator(5)), one)
    assert not torch.equal(augment(images, generator(6)), one)
    assert not torch.equal(one[0], augment(images[:1].expand(2, -1, -1, -1), generator(5))[1])


def test_views_are_images_and_leave_their_originals_alone():
    images = torch.rand(16, 3, 20, 20, generator=generator(1))
    before = images.clone()
    views = augment(images, generator())
    assert views.shape == images.shape
    assert views.dtype == images.dtype
    assert 0 <= views.min() < views.max() <= 1
    assert torch.equal(images, before)


@pytest.fixture
def no_stain(monkeypatch):
    monkeypatch.setattr(augmentation, "STAIN_STRENGTH", 0.0)
    monkeypatch.setattr(augmentation, "BRIGHTNESS", 0.0)


@pytest.mark.usefixtures("no_stain")
def test_no_strength_changes_no_colour():
    images = torch.linspace(0, 1, 256).repeat(3, 1)[None, :, None, :]
    images = torch.cat([images, images.flip(3), torch.rand(1, 3, 1, 256, generator=generator())])
    torch.testing.assert_close(augmentation._restain(images, generator()), images, atol=2e-6, rtol=0)


def test_a_stain_is_strengthened_along_its_own_colour(monkeypatch):
    monkeypatch.setattr(augmentation, "BRIGHTNESS", 0.0)
    colour = augmentation._STAINS[0] / augmentation._STAINS[0].norm()
    amounts = torch.linspace(0.1, 1.5, 50)
    images = (-amounts[:, None] * colour).exp()[:, :, None, None]
    changed = -augmentation._restain(images, generator())[:, :, 0, 0].log()
    found = changed @ colour
    np.testing.assert_allclose(changed, found[:, None] * colour, atol=0.02)
    ratios = found / amounts
    assert 0.88 < ratios.min() < 0.95
    assert 1.05 < ratios.max() < 1.12


def test_white_stays_white_without_a_change_of_light(monkeypatch):
    monkeypatch.setattr(augmentation, "BRIGHTNESS", 0.0)
    white = torch.ones(5, 3, 4, 4)
    torch.testing.assert_close(augmentation._restain(white, generator()), white, atol=1e-6, rtol=0)


def test_the_recipe_is_that_of_version_two():
    """Strengths are no parameters: to change one is to raise the version of every protocol that trains."""
    strengths = (MAX_SHIFT, MAX_SCALE, augmentation.STAIN_STRENGTH, augmentation.BRIGHTNESS, MARGIN)
    assert strengths == (1 / 16, 0.1, 0.1, 0.1, 1 / 8)
    assert (1 + MAX_SCALE) * (1 + 2 * MAX_SHIFT) < 1 + 2 * MARGIN
