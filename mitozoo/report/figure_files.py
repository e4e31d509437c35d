"""Figures as files of their own: SVG, its data as CSV, and PNG where the extra `figures` is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from mitozoo import storage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mitozoo.report.figure import Figure

#: A file stands on no page whose ink and ground it could share.
INK, PAPER = "#000000", '<rect width="100%" height="100%" fill="#ffffff"/>'
ENLARGED = 2  # PNG


def can_rasterise() -> bool:
    """Tell whether PNG can be written."""
    return all(find_spec(name) is not None for name in ("resvg_py", "matplotlib"))


def write_figures(figures: Sequence[Figure], folder: Path) -> None:
    """Write each figure under its name."""
    for figure in figures:
        drawn = figure.svg.replace("currentColor", INK).replace("</desc>", f"</desc>{PAPER}", 1)
        with storage.write_whole(folder / f"{figure.name}.svg") as unfinished:
            unfinished.write_text(drawn, encoding="utf-8")
        with storage.write_whole(folder / f"{figure.name}.csv") as unfinished:
            unfinished.write_text(figure.csv(), encoding="utf-8")
        if can_rasterise():
            with storage.write_whole(folder / f"{figure.name}.png") as unfinished:
                unfinished.write_bytes(_rasterised(drawn))


def _rasterised(svg: str) -> bytes:
    """Return a drawing as PNG, in the font that matplotlib brings: the same on each machine, whatever fonts it has."""
    import matplotlib as mpl
    import resvg_py

    return resvg_py.svg_to_bytes(
        svg_string=svg, zoom=ENLARGED, skip_system_fonts=True, sans_serif_family="DejaVu Sans",
        font_files=[f"{mpl.get_data_path()}/fonts/ttf/DejaVuSans.ttf"],
    )  # fmt: skip
