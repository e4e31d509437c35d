"""What a network sees around a cell: a window of one physical size, and what lies beyond the slide's border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from mitozoo.data.slide import Edge
from mitozoo.errors import ProtocolError


@dataclass(frozen=True)
class Geometry:
    """What a network sees around a cell.

    Attributes:
        window_um: side of the square window, um; None: `window_px`, or the whole released patch.
        edge: what lies beyond the slide's border: 'reflect' (see `Slide.read`) or 'black'.
        authors: the window is a tile that goes through the authors' own resize and crop, in place of being resampled
            whole to the network's input.
        window_px: side of the window in the slide's own pixels at full resolution, in place of a physical size.
    """

    window_um: float | None
    edge: Edge
    authors: bool = False
    window_px: int | None = None

    def __post_init__(self) -> None:
        if self.window_um is not None and not 0 < self.window_um <= 10_000:
            raise ProtocolError(f"a window of {self.window_um} um cannot be meant")
        if self.edge not in get_args(Edge):
            raise ProtocolError(f"edge is '{self.edge}'; it must be one of {', '.join(get_args(Edge))}")
