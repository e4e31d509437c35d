"""What must be known of slides and cells before any patch is read: sizes, microns per pixel, windows that fit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mitozoo.data.slides import open_slide
from mitozoo.errors import DataError, ProtocolError, SlideError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.data.cells import Cells
    from mitozoo.data.geometry import Geometry

OPENING_THREADS = 8
AGREEING_MPP = 0.02  # relative; a slide file and its dataset that differ by more are both named


@dataclass(frozen=True)
class Header:
    """What an image file says of itself; `problem`: why it cannot be read, '' where it can."""

    width: int = 0
    height: int = 0
    mpp: float | None = None
    problem: str = ""


def read_headers(files: list[Path], needs_mpp: npt.NDArray[np.bool_]) -> list[Header]:
    """Return each file's header, many at once; microns per pixel only where they are needed."""

    def read(file: Path, needs_mpp: bool) -> Header:
        try:
            slide = open_slide(file)
            slide.require_whole()
        except SlideError as error:
            return Header(problem=error.message)
        return Header(*slide.size, mpp=slide.mpp if needs_mpp else None)

    with ThreadPoolExecutor(OPENING_THREADS) as threads:
        return list(threads.map(read, files, needs_mpp.tolist()))


def unreadable(problems: list[str], files: int) -> SlideError:
    """Return the error that names the first few of the files that cannot be read."""
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return SlideError(
        f"{len(problems)} of {files} slides cannot be read: {'; '.join(problems[:3])}{more}",
        hint="Mend or fetch them, or leave their cells out with --skip-unreadable, which the result records.",
    )


def known_mpp(
    cells: Cells, headers: list[Header], file_index: npt.NDArray[np.int64], *, file_first: bool
) -> tuple[npt.NDArray[np.float64], tuple[tuple[str, float, float], ...]]:
    """Return (n,) microns per pixel, and the slides of which file and dataset state different ones."""
    own = np.array([np.nan if header.mpp is None else header.mpp for header in headers])[file_index]
    stated = cells.table["mpp"].to_numpy(dtype=float)
    first, second = (own, stated) if file_first else (stated, own)
    mpp = np.where(np.isnan(first), second, first)
    slides = cells.table["slide"].to_numpy(dtype=np.str_)
    if (unknown := np.isnan(mpp)).any():
        lost = np.unique(slides[unknown])
        raise DataError(
            f"no microns per pixel are known for {len(lost)} slides of dataset '{cells.spec.name}', such as "
            f"{lost[0]}: neither the file nor the dataset states them",
            hint="Pass --mpp with the scanner's microns per pixel.",
        )
    differ = file_first & (np.abs(own - stated) > AGREEING_MPP * np.minimum(own, stated))  # NaN: one says nothing
    told = {(str(slides[row]), float(own[row]), float(stated[row])) for row in np.flatnonzero(differ)}
    return mpp, tuple(sorted(told))


def refuse_unseen(
    cells: Cells, rows: npt.NDArray[np.int64], x: npt.NDArray[np.float64], y: npt.NDArray[np.float64],
    width: npt.NDArray[np.int64], height: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    """Raise `DataError` where a window shows nothing of its slide; label files do hold centres a few px outside."""
    if not rows.size:
        return
    row = rows[0]
    cell = cells.table.iloc[row]
    more = f" (and {rows.size - 1:,} cells more)" if rows.size > 1 else ""
    raise DataError(
        f"cell {cell['cell_id']} of dataset '{cells.spec.name}' lies at ({x[row]:g}, {y[row]:g}), outside its "
        f"slide {cell['slide']} of {width[row]} x {height[row]} px by more than half a window{more}"
    )


def window_px(geometry: Geometry, mpp: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return (n,) sides of the windows, px at full resolution."""
    if geometry.window_px is not None:
        return np.full(len(mpp), geometry.window_px, dtype=np.int64)
    if geometry.window_um is None:
        raise ProtocolError(
            "the window is 'the whole patch', and this dataset has whole slides",
            hint="Name a window in um: --crop-um 56.",
        )
    side_px = np.rint(geometry.window_um / mpp).astype(np.int64)
    if (side_px < 2).any():
        raise ProtocolError(f"a window of {geometry.window_um} um is less than 2 px at {mpp.max():g} um/px")
    return side_px


def window_in_patch_px(
    cells: Cells, geometry: Geometry, mpp: npt.NDArray[np.float64], width: npt.NDArray[np.int64],
    height: npt.NDArray[np.int64], *, edge_named: bool,
) -> npt.NDArray[np.int64]:  # fmt: skip
    """Return (n,) sides of the windows inside released patches, px; a larger window needs an edge rule by name."""
    patch_px = cells.spec.patch_px
    assert patch_px is not None
    other = np.flatnonzero((width != patch_px) | (height != patch_px))
    if other.size:
        row = other[0]
        raise DataError(
            f"patch {cells.table['file'].iloc[row]} has {width[row]} x {height[row]} px, and the patches of dataset "
            f"'{cells.spec.name}' have {patch_px} x {patch_px}"
        )
    if geometry.window_um is None:
        return np.full(len(cells), patch_px, dtype=np.int64)
    side_px = window_px(geometry, mpp)
    if side_px.max() > patch_px and not edge_named:
        raise DataError(
            f"a window of {geometry.window_um:g} um is {side_px.max()} px, larger than the {patch_px} px patches "
            f"({patch_px * mpp.min():.1f} um) of dataset '{cells.spec.name}'",
            hint="Take a smaller window, or name an edge rule for what lies outside the patch.",
        )
    return side_px
