"""Crops that show the same cell are found whatever was done to them; different cells are never called the same."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from mitozoo.data.audit import likeness
from mitozoo.data.audit.crops import look_at

SIDE, MARGIN = 128, 8


def tissue(n: int, seed: int = 0) -> list[np.ndarray]:
    """Return n pictures of smooth structure at the scale of nuclei, with a margin to shift them in."""
    random = np.random.default_rng(seed)
    whole = SIDE + 2 * MARGIN
    pictures = []
    for _ in range(n):
        coarse = Image.fromarray(random.integers(0, 256, (18, 18, 3), dtype=np.uint8))
        pictures.append(np.asarray(coarse.resize((whole, whole), Image.Resampling.BICUBIC)))
    return pictures


def cut(picture: np.ndarray, right: int = 0, down: int = 0) -> np.ndarray:
    return picture[MARGIN + down : MARGIN + down + SIDE, MARGIN + right : MARGIN + right + SIDE]


def saved_as_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


DONE_TO_IT = {
    "jpeg": lambda p: saved_as_jpeg(cut(p), 30),
    "dimmed": lambda p: (cut(p) * 0.7).astype(np.uint8),
    "tinted": lambda p: (cut(p) * [1.0, 0.8, 0.9]).astype(np.uint8),
    "blurred": lambda p: np.asarray(Image.fromarray(cut(p)).filter(ImageFilter.GaussianBlur(1))),
    "shifted by 1": lambda p: cut(p, 1, 0),
    "shifted by 2": lambda p: cut(p, -1, 2),
    "of another size": lambda p: np.asarray(Image.fromarray(cut(p)).resize((100, 100))),
}


def thumbs(pictures: list[np.ndarray]) -> np.ndarray:
    return look_at(pictures.__getitem__, range(len(pictures))).thumbs


@pytest.mark.parametrize("done", DONE_TO_IT)
def test_the_same_cell_is_found_again(done):
    pictures = tissue(12)
    found = likeness.near_pairs(thumbs([cut(p) for p in pictures]), thumbs([DONE_TO_IT[done](p) for p in pictures]))
    assert sorted((one, other) for one, other, _ in found) == [(n, n) for n in range(12)]


def test_pairs_within_one_set_are_named_once_and_the_most_alike_first():
    first, second, third = tissue(3)
    found = likeness.near_pairs(thumbs([cut(first), cut(second), cut(first, 1), cut(third), cut(second)]))
    assert [(one, other) for one, other, _ in found] == [(1, 4), (0, 2)]
    assert found[0][2] == pytest.approx(1)


def test_correlation_is_the_highest_that_numpy_finds_at_any_place():
    one, other = thumbs([cut(p) for p in tissue(2)])
    middle, picture = one[3:61, 3:61].ravel(), other.astype(float)
    across, below = (picture[:, 1:] + picture[:, :-1]) / 2, (picture[1:] + picture[:-1]) / 2
    found = [
        np.corrcoef(middle, shown[down : down + 58, right : right + 58].ravel())[0, 1]
        for shown in (picture, across, below, (below[:, 1:] + below[:, :-1]) / 2)
        for down in range(shown.shape[0] - 57)
        for right in range(shown.shape[1] - 57)
    ]
    assert len(found) == 49 + 42 + 42 + 36
    assert likeness.correlation(one, other) == pytest.approx(max(found), abs=1e-5)


def test_of_very_many_likely_pairs_the_most_alike_are_compared(monkeypatch):
    monkeypatch.setattr(likeness, "MOST", 2)
    picture, *others = (cut(p) for p in tissue(3))
    found = likeness.near_pairs(thumbs([picture, saved_as_jpeg(picture, 30), *others, picture]))
    assert [pair[:2] for pair in found] == [(0, 4), (0, 1)]


def test_pictures_without_contrast_are_like_none():
    flat = np.full((4, 64, 64), 240, dtype=np.uint8)
    flat[1] += 1
    assert likeness.near_pairs(flat) == []


@pytest.mark.parametrize("n", [0, 1])
def test_few_pictures(n):
    assert likeness.near_pairs(np.zeros((n, 64, 64), dtype=np.uint8)) == []


def test_blocks_of_pairs_are_put_together(monkeypatch):
    monkeypatch.setattr(likeness, "AT_ONCE", 2)
    pictures = tissue(5)
    twice = thumbs([cut(p) for p in [*pictures, *pictures]])
    assert sorted(pair[:2] for pair in likeness.near_pairs(twice)) == [(n, n + 5) for n in range(5)]
    assert len(likeness.near_pairs(twice, twice)) == 20


@pytest.mark.parametrize(
    ("sides", "width"), [((), 0), (("top",), 1), (("left",), 40), (("bottom", "right"), 7), (("everything",), SIDE)]
)
def test_borders_of_one_colour_are_measured(sides, width):
    pixels = cut(tissue(1)[0]).copy()
    views = {
        "top": pixels[:width], "bottom": pixels[-width:] if width else pixels[:0], "left": pixels[:, :width],
        "right": pixels[:, -width:] if width else pixels[:0], "everything": pixels,
    }  # fmt: skip
    for side in sides:
        views[side][:] = (0, 0, 0)
    assert look_at([pixels].__getitem__, [0]).borders.tolist() == [width]


def test_digests_and_order():
    one, other = (cut(p) for p in tissue(2))
    crops = look_at([one, other, one.copy(), one[:64], None].__getitem__, [3, 4, 2, 0, 1])
    assert crops.rows.tolist() == [0, 1, 2, 3]  # the last one cannot be read
    assert len(crops.digests) == len(crops.thumbs) == len(crops.borders) == 4
    assert crops.digests[0] == crops.digests[2]
    assert len(set(crops.digests)) == 3


@pytest.mark.shared
def test_no_two_real_cells_are_called_the_same(shared_data):
    files = sorted((shared_data / "ami-br" / "AMi-Br").glob("*/*.png"))[::6]
    real = look_at(lambda row: np.asarray(Image.open(files[row]).convert("RGB")), range(len(files))).thumbs
    assert len(files) == 620
    assert likeness.near_pairs(real) == []
    some = [np.asarray(Image.open(file).convert("RGB")) for file in files[::10]]
    for again in (lambda p: saved_as_jpeg(p, 30), lambda p: np.pad(p, ((2, 0), (0, 1), (0, 0)), "edge")[:-2, 1:]):
        found = likeness.near_pairs(real[::10], thumbs([again(p) for p in some]))
        assert sorted(pair[:2] for pair in found) == [(n, n) for n in range(len(some))]
