"""Images that a check shows to a network: what slides hold at the extremes, and something like tissue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]

NAMES = ("black", "white", "noise", "ramp", "stained")
HAEMATOXYLIN, EOSIN = (90, 60, 140), (225, 150, 190)


def sample_images(size: int) -> Images:
    """Return the images of `NAMES`, (5, size, size, 3), the same in every process."""
    random = np.random.default_rng(0)
    images = np.zeros((len(NAMES), size, size, 3), dtype=np.uint8)
    images[1] = 255
    images[2] = random.integers(256, size=(size, size, 3))
    images[3] = np.linspace(0, 255, size).astype(np.uint8)[None, :, None]
    y, x = np.mgrid[:size, :size] / size
    waves = np.sin(2 * np.pi * (7 * x + 3 * y)) + np.sin(2 * np.pi * (5 * y - 2 * x))
    share = 1 / (1 + np.exp(-3 * (waves + random.normal(0, 0.2, (size, size)))))[..., None]
    images[4] = (share * HAEMATOXYLIN + (1 - share) * EOSIN).round()
    return images
