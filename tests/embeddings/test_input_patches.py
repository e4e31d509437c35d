"""The cached input patches of protocols that train: what is read back is what was written, or is made anew."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_zoo import CELLS

from mitozoo.data.cells import read_cells
from mitozoo.data.patches import Geometry, plan_patches
from mitozoo.embeddings.input_patches import input_patches
from mitozoo.models.preprocessing import resample
from mitozoo.plugins.registry import load_registry


@pytest.fixture
def plan(zoo, own_home):
    return plan_patches(read_cells(load_registry().dataset("tiny").spec, zoo), Geometry(56.0, "reflect"), target_px=32)


@pytest.fixture
def preprocessing(zoo):
    return load_registry().model("steady").spec.preprocessing


def made(plan, preprocessing) -> tuple[np.ndarray, list[str], int]:
    seen = []
    patches, pixels = input_patches(plan, preprocessing, lambda done, total: seen.append(done))
    return patches, pixels, seen[-1] if seen else 0


def test_they_are_the_resampled_windows_and_are_read_once(plan, preprocessing):
    patches, pixels, count = made(plan, preprocessing)
    assert count == CELLS
    for row in range(0, CELLS, 7):
        assert np.array_equal(patches[row], resample(plan.read(row), preprocessing))
    again, same_pixels, count = made(plan, preprocessing)
    assert count == 0
    assert np.array_equal(again, patches)
    assert same_pixels == pixels
    assert len(set(pixels)) == CELLS
    with pytest.raises(ValueError, match="read-only"):
        again[0] = 0


@pytest.mark.parametrize("name", ["patches.npy", "pixels.npy", "sha256"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_damaged_ones_are_made_anew(name, damage, plan, preprocessing, own_home):
    patches, pixels, _ = made(plan, preprocessing)
    expected = np.array(patches)
    [folder] = (own_home / "patches").iterdir()
    path = folder / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:-10])
    again, same_pixels, count = made(plan, preprocessing)
    assert count == CELLS
    assert np.array_equal(again, expected)
    assert same_pixels == pixels
