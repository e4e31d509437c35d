"""Does the preprocessing do to pixels what it must: keep the whole window, keep colours, give sane values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from mitozoo.engine.findings import Finding
from mitozoo.models.preprocessing import authors_transform, normalise, resample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mitozoo.plugins.preprocessing import Preprocessing

#: Black or white further from 0 than this is a std that was divided by 255 twice, or the like.
LARGEST_VALUE = 25.0
COLOUR = (181, 93, 147)  # any three levels that differ


def preprocessing_findings(preprocessing: Preprocessing) -> Iterator[Finding]:
    """Yield whether a model's preprocessing is sane, by running it."""
    yield _values(preprocessing)
    yield _whole_window(preprocessing)
    yield _constant_image(preprocessing)


def _values(preprocessing: Preprocessing) -> Finding:
    levels = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 1, 3)
    values = normalise(levels, preprocessing)
    low, high = float(values.min()), float(values.max())
    told = f"black to white is {low:.2f} to {high:.2f}"
    if max(abs(low), abs(high)) > LARGEST_VALUE:
        return Finding("FAIL", "mean and std", told, "Give mean and std for values in 0..1, not 0..255.")
    return Finding("PASS", "mean and std", told)


def _whole_window(preprocessing: Preprocessing) -> Finding:
    """Send ramps through: their ends are still there where the whole window reached the network."""
    size = preprocessing.size
    ramp = np.linspace(0, 255, 2 * size + 1).round().astype(np.uint8)  # no multiple, so that it must be resampled
    across = np.broadcast_to(ramp[None, :, None], (len(ramp), len(ramp), 3))
    allowed = 255 / size + 3  # an output pixel covers 1/size of the ramp; 3 for rounding and bicubic overshoot
    for turned in (across, across.transpose(1, 0, 2)):
        seen = resample(np.ascontiguousarray(turned), preprocessing).astype(float)
        lowest, highest = seen.min(), seen.max()
        if seen.shape != (size, size, 3) or lowest > allowed or highest < 255 - allowed:
            told = f"a window of levels 0 to 255 reaches the network as {lowest:.0f} to {highest:.0f} in {seen.shape}"
            return Finding("FAIL", "whole window", told, "This is a fault of mitozoo: please report it.")
    return Finding("PASS", "whole window", f"{len(ramp)} px are resampled to {size} px, to all four edges")


def _constant_image(preprocessing: Preprocessing) -> Finding:
    tile = np.full((2 * preprocessing.resize_to,) * 2 + (3,), COLOUR, dtype=np.uint8)
    ways = {
        "resampled": resample(tile, preprocessing),
        "under the authors' own transform": authors_transform(preprocessing)(Image.fromarray(tile)),
    }
    for way, seen in ways.items():
        if seen.shape != (preprocessing.size,) * 2 + (3,) or (seen != np.array(COLOUR)).any():
            mend = "Check size, resize and resize_to; if they are right, please report it."
            return Finding("FAIL", "constant image", f"one colour does not stay one colour {way}", mend)
    return Finding("PASS", "constant image", "one colour stays that colour")
