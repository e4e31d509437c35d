"""Draw small charts as SVG text that needs nothing else: scaled axes, lines, bands, points and words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Of Okabe and Ito's colours those that stand out by 3:1 from white and from black; dashes tell further lines apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "12 4")
WIDTH, HEIGHT = 460.0, 330.0  # px, of a usual chart
LINES = 8  # more in one chart cannot be told apart; the data hold all
FONT = 12  # px
CHARACTER = 6.6  # px, of the average character
LEAST_SHARE = 0.7  # of its width, down to which a chart shrinks on a narrow screen before it scrolls


@dataclass
class Drawing:
    """A chart that grows line by line.

    Attributes:
        width, height: of the whole, px.
        x, y: ends of the axes, in the data's values.
        left, right, top, bottom: margins, px.
        logarithmic: whether x is.
    """

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    left: float = 52
    right: float = 14
    top: float = 12
    bottom: float = 44
    logarithmic: bool = False
    parts: list[str] = field(default_factory=list)

    def at_x(self, value: float) -> float:
        """Return where a value lies, px from the left."""
        scale: Callable[[float], float] = math.log10 if self.logarithmic else float
        low, high = map(scale, self.x)
        return self.left + (scale(value) - low) / ((high - low) or 1) * (self.width - self.left - self.right)

    def at_y(self, value: float) -> float:
        """Return where a value lies, px from the top."""
        low, high = self.y
        return self.height - self.bottom - (value - low) / ((high - low) or 1) * (self.height - self.top - self.bottom)

    def axes(self, x_name: str, y_name: str, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> None:
        """Draw both axes with ticks and names."""
        base, middle = self.height - self.bottom, (self.left + self.width - self.right) / 2
        for tick in x_ticks:
            place = self.at_x(tick)
            self.stroke([(place, self.top), (place, base)], "currentColor", opacity=0.15)
            self.text(place, base + 16, f"{tick:g}", anchor="middle")
        for tick in y_ticks:
            place = self.at_y(tick)
            self.stroke([(self.left, place), (self.width - self.right, place)], "currentColor", opacity=0.15)
            if y_name:
                self.text(self.left - 6, place + 4, f"{tick:.3g}", anchor="end")
        self.stroke([(self.left, self.top), (self.left, base), (self.width - self.right, base)], "currentColor")
        self.text(middle, self.height - 8, x_name, anchor="middle")
        if y_name:
            centre = (self.top + base) / 2
            turn = f' transform="rotate(-90 14 {centre:.1f})"'
            self.text(14, centre, y_name, anchor="middle", further=turn)

    def stroke(
        self,
        points: Sequence[tuple[float, float]],
        colour: str,
        *,
        width: float = 1,
        dash: str = "",
        opacity: float = 1,
    ) -> None:
        """Draw a line through places in px."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        further = f' stroke-dasharray="{dash}"' if dash else ""
        further += f' opacity="{opacity:g}"' if opacity != 1 else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{further}/>'
        )

    def line(self, points: Sequence[tuple[float, float]], series: int) -> None:
        """Draw a series through points in the data's values."""
        colour, dash = style(series)
        self.stroke([(self.at_x(x), self.at_y(y)) for x, y in points], colour, width=2, dash=dash)

    def whisker(self, x: float, low: float, high: float, series: int, aside: float = 0) -> None:
        """Draw an upright interval, so many px aside of its place."""
        place = self.at_x(x) + aside
        self.stroke([(place, self.at_y(low)), (place, self.at_y(high))], style(series)[0], width=1.5)

    def point(self, x: float, y: float, colour: str, *, radius: float = 4, opacity: float = 1) -> None:
        """Draw a point at the data's values."""
        faint = f' opacity="{opacity:g}"' if opacity != 1 else ""
        self.parts.append(
            f'<circle cx="{self.at_x(x):.1f}" cy="{self.at_y(y):.1f}" r="{radius:g}" fill="{colour}"{faint}/>'
        )

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """Fill a rectangle, in px."""
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>')

    def text(
        self, x: float, y: float, words: str, *, anchor: str = "start", colour: str = "currentColor", further: str = ""
    ) -> None:
        """Write words at a place in px; they may hold anything."""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{further}>{escape(words)}</text>'
        )

    def legend(self, names: Sequence[str]) -> None:
        """Add one line a series below the chart, which grows."""
        for series, name in enumerate(names):
            colour, dash = style(series)
            self.stroke([(self.left, self.height + 8), (self.left + 26, self.height + 8)], colour, width=3, dash=dash)
            self.text(self.left + 32, self.height + 12, shortened(name, 56))
            self.height += 18
        self.height += 6

    def finished(self, name: str, title: str, description: str) -> str:
        """Return the SVG element; `name` makes its ids, which must be unique on a page."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:.0f} {self.height:.0f}" '
            f'width="{self.width:.0f}" height="{self.height:.0f}" role="img" '
            f'style="max-width: 100%; height: auto; min-width: {LEAST_SHARE * self.width:.0f}px" '
            f'aria-labelledby="{name}-title {name}-desc" font-family="system-ui, sans-serif" font-size="{FONT}">'
            f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
            f"{''.join(self.parts)}</svg>"
        )


def style(series: int) -> tuple[str, str]:
    """Return colour and dashes of a series; the first 20 all differ."""
    return COLOURS[series % len(COLOURS)], DASHES[series // len(COLOURS) % len(DASHES)]


def shortened(words: str, length: int) -> str:
    """Return words of at most so many characters."""
    return words if len(words) <= length else f"{words[: length - 3]}..."


def room_for(words: Sequence[str]) -> float:
    """Return how many px the longest of these words needs."""
    return CHARACTER * max((len(word) for word in words), default=0) + 10


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers between two values."""
    if high <= low:
        return [low]
    rough = (high - low) / about
    power: float = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 10) for place in range(first, math.floor(high / step + 1e-9) + 1)]
