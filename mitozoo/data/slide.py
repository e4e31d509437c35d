"""An open slide: its levels, its microns per pixel, and square windows read at the nearest finer level."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from mitozoo.errors import DataError, MitozooError, SlideError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Pixels = npt.NDArray[np.uint8]
Edge = Literal["reflect", "black"]

PLAUSIBLE_MPP = (0.05, 20.0)  # a resolution tag outside is a printer's (72 dpi is 353 um/px), not a scanner's


@dataclass(frozen=True)
class Level:
    """One resolution of a slide: its size in px, and how many px of full resolution one of its px covers."""

    width: int
    height: int
    downsample: float


class Slide(ABC):
    """An open slide. Reading is safe from many threads at once.

    Attributes:
        path: the file.
        levels: resolutions from the finest, which is full resolution.
        decoded_bytes: memory that the slide holds once it has been read.
    """

    def __init__(
        self, path: Path, levels: tuple[Level, ...], mpp_xy: tuple[float, float] | None, decoded_bytes: int
    ) -> None:
        self.path, self.levels, self.decoded_bytes = path, levels, decoded_bytes
        self._mpp_xy = mpp_xy

    @property
    def size(self) -> tuple[int, int]:
        """Width and height at full resolution, px."""
        return self.levels[0].width, self.levels[0].height

    @property
    def mpp(self) -> float | None:
        """Microns per pixel that the file states, None where it states none.

        Raises:
            DataError: it differs by 1 % or more between the axes, so that no square window is right.
        """
        if self._mpp_xy is None or not all(PLAUSIBLE_MPP[0] <= value <= PLAUSIBLE_MPP[1] for value in self._mpp_xy):
            return None
        x, y = self._mpp_xy
        if abs(x - y) >= 0.01 * min(x, y):
            raise DataError(
                f"{self.path} states {x:g} um/px across and {y:g} um/px down: its pixels are not square",
                hint="Pass --mpp if one number is right for both.",
            )
        return (x + y) / 2

    def level_for(self, side_px: int, target_px: int) -> int:
        """Return the coarsest level at which a window of `side_px` still has `target_px` px, else full resolution."""
        fits = [i for i, level in enumerate(self.levels) if round(side_px / level.downsample) >= target_px]
        return max(fits, key=lambda i: self.levels[i].downsample, default=0)

    def read(self, x: float, y: float, side_px: int, target_px: int, edge: Edge) -> Pixels:
        """Return the square window of `side_px` (full resolution) around (x, y), (h, w, 3) RGB.

        The window is snapped to whole pixels (see `corner`) and read at the nearest finer level for `target_px`, so its
        side is `side_px` over that level's downsample. Beyond the border lie the mirrored pixels of the slide with the
        border pixel repeated (c b a | a b c | c b a, as often as it takes; numpy's 'symmetric'), or black ones.

        Raises:
            SlideError: these pixels cannot be decoded.
        """
        index = self.level_for(side_px, target_px)
        level = self.levels[index]
        side = round(side_px / level.downsample)
        left, top = (corner((corner(at, side_px) + side_px / 2) / level.downsample, side) for at in (x, y))
        if 0 <= left <= level.width - side and 0 <= top <= level.height - side:
            pixels = self._decoded(index, left, top, side, side)
            return pixels if pixels.flags.owndata else pixels.copy()  # a view may be of what is kept
        columns, rows = _mirrored(left, side, level.width), _mirrored(top, side, level.height)
        first_column, first_row = int(columns.min()), int(rows.min())
        width, height = int(columns.max()) - first_column + 1, int(rows.max()) - first_row + 1
        pixels = self._decoded(index, first_column, first_row, width, height)
        pixels = pixels[np.ix_(rows - first_row, columns - first_column)]
        if edge == "black":
            pixels[_outside(top, side, level.height)] = 0
            pixels[:, _outside(left, side, level.width)] = 0
        return pixels

    def _decoded(self, level: int, left: int, top: int, width: int, height: int) -> Pixels:
        with decoding(self.path):
            return self._region(level, left, top, width, height)

    @abstractmethod
    def require_whole(self) -> None:
        """Raise `SlideError` if the file ends before its pixels do; nothing is decoded."""

    @abstractmethod
    def _region(self, level: int, left: int, top: int, width: int, height: int) -> Pixels:
        """Return (height, width, 3) px of a level, all inside it."""


def corner(centre: float, side: int) -> int:
    """Return the first pixel of `side` pixels around a centre, where pixel i covers i to i + 1."""
    return int(np.floor(centre - side / 2 + 0.5))


@contextlib.contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises, which on broken bytes may be anything, into a `SlideError` with its cause."""
    try:
        yield
    except MitozooError:
        raise
    except Exception as error:
        raise SlideError(f"slide {path} cannot be read: {error or type(error).__name__}") from error


def _mirrored(start: int, count: int, length: int) -> npt.NDArray[np.int64]:
    """Return which of `length` pixels stand at `count` places from `start` on, mirrored beyond the border."""
    phase = np.arange(start, start + count) % (2 * length)
    return np.where(phase < length, phase, 2 * length - 1 - phase)


def _outside(start: int, count: int, length: int) -> npt.NDArray[np.bool_]:
    places = np.arange(start, start + count)
    return (places < 0) | (places >= length)
