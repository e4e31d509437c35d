"""What is done to a window's pixels before the network sees them: stain normalisation, or a named perturbation."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from mitozoo.errors import MitozooError, ProtocolError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable

Pixels = npt.NDArray[np.uint8]  # (h, w, 3) RGB
Stain = Literal["none", "macenko", "reinhard"]

#: Mean and deviation in CIE L*a*b* that Reinhard's method moves every window to: those of all AMi-Br crops together.
REINHARD_MEANS, REINHARD_DEVIATIONS = (55.0, 32.4, -16.5), (20.5, 11.6, 11.5)
#: Below this share of pixels of this optical density, Macenko's method has nothing to estimate a window's stains from.
ENOUGH_STAINED, STAINED_OD = 0.01, 0.15
#: Ruifrok and Johnston's optical densities of haematoxylin, eosin and DAB.
STAINS_OD = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])


@dataclass(frozen=True)
class Treatment:
    """One treatment and its strength; `str()` of it names it, and reads back by `parse_perturbation`."""

    name: str
    amount: float | None = None

    def __str__(self) -> str:
        return self.name if self.amount is None else f"{self.name}={self.amount:g}"

    def __call__(self, window: Pixels, um_per_px: float) -> Pixels:
        """Return the treated window; `um_per_px` is the size of its own pixels."""
        if self.amount is None:
            return _STAINS[self.name](window)
        return PERTURBATIONS[self.name].apply(window, self.amount, um_per_px)


def stain_normalisation(name: str) -> Treatment | None:
    """Return the treatment of `--stain`; None for 'none'."""
    if name not in get_args(Stain):
        raise ProtocolError(f"stain is '{name}'; it must be one of {', '.join(get_args(Stain))}")
    return None if name == "none" else Treatment(name)


def parse_perturbation(text: str) -> Treatment:
    """Return the perturbation of a text such as 'blur' (its default strength) or 'blur=1.5'."""
    name, equals, amount = text.strip().partition("=")
    if name not in PERTURBATIONS:
        raise UnknownNameError(
            f"there is no perturbation '{name}'",
            hint="Known: " + "; ".join(f"{key} ({one.meaning})" for key, one in PERTURBATIONS.items()) + ".",
        )
    kind = PERTURBATIONS[name]
    try:
        value = float(amount) if equals else kind.default
    except ValueError as error:
        raise ProtocolError(f"--perturb {text}: '{amount}' is no number") from error
    if not kind.low <= value <= kind.high:
        raise ProtocolError(f"--perturb {text}: {name} must lie between {kind.low:g} and {kind.high:g}")
    return Treatment(name, float(f"{value:g}"))


def _blurred(window: Pixels, sigma_um: float, um_per_px: float) -> Pixels:
    from PIL import Image, ImageFilter

    return np.asarray(Image.fromarray(window).filter(ImageFilter.GaussianBlur(sigma_um / um_per_px)))


def _compressed(window: Pixels, quality: float, um_per_px: float) -> Pixels:  # noqa: ARG001
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(window).save(buffer, format="JPEG", quality=round(quality), subsampling=2)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _more_haematoxylin(window: Pixels, share: float, um_per_px: float) -> Pixels:  # noqa: ARG001
    """Multiply haematoxylin's density by 1 + share and eosin's by 1 - share."""
    unit = STAINS_OD / np.linalg.norm(STAINS_OD, axis=1, keepdims=True)
    density = -np.log(np.maximum(window.astype(np.float64), 1) / 255)
    amounts = density @ np.linalg.inv(unit)
    amounts *= np.array([1 + share, 1 - share, 1.0])
    return _as_pixels(255 * np.exp(-(amounts @ unit)))


def _recoloured(window: Pixels, saturation: float, um_per_px: float) -> Pixels:  # noqa: ARG001
    from PIL import Image, ImageEnhance

    return np.asarray(ImageEnhance.Color(Image.fromarray(window)).enhance(saturation))


def _brightened(window: Pixels, factor: float, um_per_px: float) -> Pixels:  # noqa: ARG001
    return _as_pixels(window.astype(np.float64) * factor)


def _of_wrong_resolution(window: Pixels, factor: float, um_per_px: float) -> Pixels:  # noqa: ARG001
    """Return the window's middle: what is cropped where the slide's microns per pixel are overstated."""
    sides = [max(1, round(side * factor)) for side in window.shape[:2]]
    top, left = ((whole - side) // 2 for whole, side in zip(window.shape[:2], sides, strict=True))
    return window[top : top + sides[0], left : left + sides[1]]


def _rotated(window: Pixels, degrees: float, um_per_px: float) -> Pixels:  # noqa: ARG001
    """Turn the window about its centre, mirrored beyond its border, so that no corner is empty."""
    if degrees % 90 == 0:
        return np.ascontiguousarray(np.rot90(window, round(degrees / 90)))
    from PIL import Image

    height, width = window.shape[:2]
    wide = np.pad(window, ((height // 2,) * 2, (width // 2,) * 2, (0, 0)), mode="symmetric")
    turned = np.asarray(Image.fromarray(wide).rotate(degrees, Image.Resampling.BILINEAR))
    return np.ascontiguousarray(turned[height // 2 : height // 2 + height, width // 2 : width // 2 + width])


@dataclass(frozen=True)
class _Perturbation:
    apply: Callable[[Pixels, float, float], Pixels]
    default: float
    low: float
    high: float
    meaning: str


PERTURBATIONS = {
    "blur": _Perturbation(_blurred, 0.5, 0.05, 10, "deviation of a Gaussian, um"),
    "jpeg": _Perturbation(_compressed, 30, 1, 95, "quality"),
    "hed": _Perturbation(_more_haematoxylin, 0.2, -0.9, 0.9, "share of haematoxylin more and of eosin less"),
    "mpp": _Perturbation(_of_wrong_resolution, 0.8, 0.3, 1, "share of the window that is seen"),
    "colour": _Perturbation(_recoloured, 0.6, 0, 3, "saturation, 1 as it was"),
    "brightness": _Perturbation(_brightened, 0.85, 0.2, 2, "factor"),
    "rotation": _Perturbation(_rotated, 90, -360, 360, "degrees"),
}


def _macenko(window: Pixels) -> Pixels:
    """Move a window to Macenko's reference stains; where too little is stained to estimate its own, keep it."""
    stained = (-np.log((window.reshape(-1, 3) + 1.0) / 240) >= STAINED_OD).all(axis=1)
    if stained.mean() < ENOUGH_STAINED:
        return window
    normaliser = _torchstain().MacenkoNormalizer(backend="numpy")
    try:
        return np.asarray(normaliser.normalize(I=window, stains=False)[0], dtype=np.uint8)
    except np.linalg.LinAlgError:  # one colour only, so no plane of stains
        return window


def _reinhard(window: Pixels) -> Pixels:
    if window.std(axis=(0, 1)).min() == 0:  # one colour: nothing to scale
        return window
    normaliser = _torchstain().ReinhardNormalizer(backend="numpy")
    normaliser.target_means, normaliser.target_stds = np.array(REINHARD_MEANS), np.array(REINHARD_DEVIATIONS)
    return np.asarray(normaliser.normalize(I=window), dtype=np.uint8)


_STAINS: dict[str, Callable[[Pixels], Pixels]] = {"macenko": _macenko, "reinhard": _reinhard}


def _torchstain() -> Any:
    try:
        from torchstain.base import normalizers
    except ImportError as error:
        raise MitozooError(
            "stain normalisation needs torchstain, which is not installed", hint="pip install 'mitozoo[stain]'"
        ) from error
    return normalizers


def _as_pixels(values: npt.NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
