"""From a window of tissue to the network's input: resampled once, whole, then normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from mitozoo.errors import ModelError
from mitozoo.models.devices import send

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitozoo.plugins.preprocessing import Preprocessing

_PIL_FILTER = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def resample(window: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Resample a whole window once, to the network's input side.

    Args:
        window: uint8 (height, width, 3), RGB.
        preprocessing: gives side, interpolation and antialias; its resize and crop are for `authors_transform` alone.

    Returns:
        uint8 (size, size, 3); the same pixels where the window has that side already.
    """
    side = preprocessing.size
    if window.shape[:2] == (side, side):
        return window
    return np.asarray(_resized(Image.fromarray(window), (side, side), preprocessing))


def as_authors_see(window: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Resample a window to the authors' tile, then resize and crop it as they do: uint8 (size, size, 3)."""
    side = tile_px(preprocessing)
    tile = _resized(Image.fromarray(window), (side, side), preprocessing)
    return authors_transform(preprocessing)(tile)


def tile_px(preprocessing: Preprocessing) -> int:
    """Return the side of the tile that the authors' transform begins with, px."""
    return preprocessing.size if preprocessing.resize == "none" else preprocessing.resize_to


def normalise(batch: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Scale uint8 (n, size, size, 3) to 0..1 and standardise it: float32 (n, 3, size, size)."""
    return standardise(batch.permute(0, 3, 1, 2).to(torch.float32).div_(255), preprocessing)


def standardise(images: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Take the model's mean off float (n, 3, size, size) in 0..1 and divide by its std, in place."""
    mean, std = (
        send(torch.tensor(values, dtype=images.dtype).view(1, 3, 1, 1), images.device)
        for values in (preprocessing.mean, preprocessing.std)
    )
    return images.sub_(mean).div_(std)


def authors_transform(preprocessing: Preprocessing) -> Callable[[Image.Image], np.ndarray]:
    """Return the authors' own resize and centre crop: a PIL image to uint8 (size, size, 3), not yet normalised."""
    from torchvision.transforms import functional

    size, resize_to = preprocessing.size, preprocessing.resize_to

    def transform(image: Image.Image) -> np.ndarray:
        image = image.convert("RGB")
        width, height = image.size
        if preprocessing.resize == "square":
            image = _resized(image, (resize_to, resize_to), preprocessing)
        elif preprocessing.resize == "short-side":  # the long side is truncated, as torchvision does
            short = min(width, height)
            image = _resized(image, (resize_to * width // short, resize_to * height // short), preprocessing)
        if min(image.size) < size:  # torchvision would fill with black
            raise ModelError(f"a tile of {width} x {height} px is smaller than the model's crop of {size} px")
        return np.asarray(functional.center_crop(image, [size, size]))

    return transform


def _resized(image: Image.Image, size: tuple[int, int], preprocessing: Preprocessing) -> Image.Image:
    """Resize to (width, height) px with the spec's interpolation."""
    if image.size == size:
        return image
    if preprocessing.antialias:
        return image.resize(size, _PIL_FILTER[preprocessing.interpolation])
    # PIL always low-passes when it shrinks; torchvision's tensor path is the reference for models that never did
    from torchvision.transforms import InterpolationMode, functional

    pixels = functional.pil_to_tensor(image)
    mode = InterpolationMode(preprocessing.interpolation)
    resized = functional.resize(pixels, [size[1], size[0]], interpolation=mode, antialias=False)
    return Image.fromarray(resized.permute(1, 2, 0).contiguous().numpy())
