"""The resize and crop of `preprocessing`, for many windows at once on the encoder's own device: the same bytes.

PIL resizes by fixed-point weights, along rows and then along columns, rounding to uint8 in between. Here are those
weights and that arithmetic, in integers: each pixel is PIL's own on every device, so no cache need know how it was
made. A CPU is better served by PIL itself, which is several times as fast there.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from mitozoo.models.devices import send
from mitozoo.models.preprocessing import tile_px

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from mitozoo.plugins.preprocessing import Interpolation, Preprocessing

FRACTION_BITS = 22  # of PIL's weights: 32, less 8 of a pixel and 2 for sums beyond its range
REACH = {"bilinear": 1.0, "bicubic": 2.0}  # of a filter, in px of the coarser grid
AT_ONCE = 64  # windows: a sum takes four bytes a channel, and so does each term


def works_for(preprocessing: Preprocessing) -> bool:
    """Tell whether a model's windows can be resampled here: its reference is PIL, which always low-passes."""
    return preprocessing.antialias


def prepare(
    windows: Sequence[npt.NDArray[np.uint8]], preprocessing: Preprocessing, device: str, *, authors: bool
) -> torch.Tensor:
    """Bring square windows of any sizes to a device, and there to the network's input side.

    Args:
        windows: uint8 (side, side, 3) each, RGB.
        preprocessing: one that `works_for` allows.
        device: of the encoder.
        authors: resize and crop as the authors do, in place of resampling the whole window.

    Returns:
        uint8 (n, size, size, 3) on the device, in the order of the windows; `normalise` comes next.
    """
    see = as_authors_see if authors else resample
    prepared = torch.empty((len(windows), preprocessing.size, preprocessing.size, 3), dtype=torch.uint8, device=device)
    for side in {len(window) for window in windows}:
        places = [place for place, window in enumerate(windows) if len(window) == side]
        group = send(torch.from_numpy(np.stack([windows[place] for place in places])), device)
        prepared[send(torch.tensor(places), device)] = see(group, preprocessing)
    return prepared


def resample(windows: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Resample whole windows once: uint8 (n, side, side, 3) to (n, size, size, 3), on their device."""
    return _resized(windows, preprocessing.size, preprocessing.interpolation)


def as_authors_see(windows: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Resample windows to the authors' tile and crop its centre: uint8 (n, side, side, 3) to (n, size, size, 3)."""
    side, size = tile_px(preprocessing), preprocessing.size
    first = round((side - size) / 2)  # torchvision's rounding
    tiles = _resized(windows, side, preprocessing.interpolation)
    return tiles[:, first : first + size, first : first + size]


def _resized(windows: torch.Tensor, side: int, interpolation: Interpolation) -> torch.Tensor:
    if windows.shape[1] == side:
        return windows
    parts = windows.split(AT_ONCE)  # type: ignore[no-untyped-call]
    return torch.cat([_along(_along(part, 2, side, interpolation), 1, side, interpolation) for part in parts])


def _along(images: torch.Tensor, axis: int, length: int, interpolation: Interpolation) -> torch.Tensor:
    """Resize one axis of uint8 (n, height, width, 3), rounding half up, as PIL does."""
    if images.shape[axis] == length:
        return images
    sources, weights = _taps(images.shape[axis], length, interpolation, images.device)
    weights = weights.view(-1, *(length if one == axis else 1 for one in range(4)))
    total = images.index_select(axis, sources[0]) * weights[0]
    for source, weight in zip(sources[1:], weights[1:], strict=True):
        total += images.index_select(axis, source) * weight
    total += 1 << (FRACTION_BITS - 1)
    return (total >> FRACTION_BITS).clamp_(0, 255).to(torch.uint8)


@functools.lru_cache(maxsize=64)
def _taps(
    length: int, wanted: int, interpolation: Interpolation, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    sources, weights = pil_weights(length, wanted, interpolation)
    return torch.from_numpy(sources).to(device), torch.from_numpy(weights).to(device)


def pil_weights(
    length: int, wanted: int, interpolation: Interpolation
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return which input pixels PIL adds up for each output pixel, and their weights: both (taps, wanted).

    Args:
        length: of the axis before, px.
        wanted: of the axis afterwards, px.
        interpolation: 'bilinear' or 'bicubic'.
    """
    scale = length / wanted
    stretch = max(scale, 1.0)  # a filter is widened only where the image shrinks
    reach = REACH[interpolation] * stretch
    centre = (np.arange(wanted) + 0.5) * scale
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + reach + 0.5).astype(np.int64), length)
    sources = first + np.arange(2 * math.ceil(reach) + 1)[:, None]
    values = _filter((sources - centre + 0.5) * (1 / stretch), interpolation)
    values[sources >= end] = 0
    values /= values.sum(axis=0)
    weights = np.trunc(values * (1 << FRACTION_BITS) + np.copysign(0.5, values)).astype(np.int32)
    used = weights.any(axis=1)
    return np.minimum(sources, length - 1)[used], weights[used]


def _filter(distance: npt.NDArray[np.float64], interpolation: Interpolation) -> npt.NDArray[np.float64]:
    """Return a filter's value at distances from its centre: a triangle, or Keys' cubic with a = -1/2."""
    x = np.abs(distance)
    if interpolation == "bilinear":
        return np.clip(1 - x, 0, None)
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
