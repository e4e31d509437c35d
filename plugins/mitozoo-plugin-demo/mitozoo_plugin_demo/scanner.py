"""From stain maps to the pixels of a scanner: Beer-Lambert absorption, optics, sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from collections.abc import Mapping

# Absorbance (natural logarithm) in red, green and blue of one unit of haematoxylin and of eosin.
_STAINS = np.array([[0.98, 1.22, 0.62], [0.20, 0.95, 0.48]])
_SHARPENING_PX = 1.5


@dataclass(frozen=True)
class Scanner:
    """How a scanner sees.

    Attributes:
        white: grey levels of empty glass in red, green and blue.
        gamma: exponent from light to grey level.
        tint: factor on the absorbance in red, green and blue.
        blur_px: sd of the point spread function.
        sharpening: share of the unsharp mask that is added back.
        noise: sd of the sensor's noise in grey levels.
    """

    white: tuple[float, float, float]
    gamma: float
    tint: tuple[float, float, float]
    blur_px: float
    sharpening: float
    noise: float


SCANNERS: Mapping[str, Scanner] = {
    "a": Scanner(white=(243, 240, 244), gamma=1.0, tint=(1.0, 1.0, 1.0), blur_px=0.7, sharpening=0.5, noise=1.2),
    "b": Scanner(white=(240, 233, 226), gamma=0.88, tint=(0.9, 1.0, 1.25), blur_px=1.3, sharpening=0.0, noise=2.2),
}


def expose(rng: np.random.Generator, stains: np.ndarray, scanner: Scanner) -> np.ndarray:
    """Return the picture (height, width, 3) uint8 of stain amounts (2, height, width).

    The slide's own colours, a little other for each slide, are drawn from `rng`.
    """
    transfer = _transfer(scanner, *stains.shape[1:])
    colours = _STAINS * rng.uniform([[0.85], [0.75]], [[1.15], [1.3]]) * rng.normal(1, 0.05, (2, 3)) * scanner.tint
    picture = np.empty((*stains.shape[1:], 3), dtype=np.uint8)
    for channel, (haematoxylin, eosin) in enumerate(colours.T.tolist()):
        light = np.exp(-(haematoxylin * stains[0] + eosin * stains[1]))
        light = fft.irfft2(fft.rfft2(light) * transfer, s=light.shape).clip(0, 1)
        grey = scanner.white[channel] * light**scanner.gamma
        grey += scanner.noise * rng.standard_normal(grey.shape, dtype=np.float32)
        picture[..., channel] = np.rint(grey).clip(0, 255)
    return picture


def _transfer(scanner: Scanner, height: int, width: int) -> np.ndarray:
    """Return what is left of each spatial frequency after blur and sharpening."""
    squared = (fft.fftfreq(height)[:, None] ** 2 + fft.rfftfreq(width) ** 2).astype(np.float32)
    blurred = np.exp(-2 * (math.pi * scanner.blur_px) ** 2 * squared)
    return blurred * (1 + scanner.sharpening * (1 - np.exp(-2 * (math.pi * _SHARPENING_PX) ** 2 * squared)))
