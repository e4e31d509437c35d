"""Where each cell's patch lies: a window of one physical size, checked before any work starts."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt

from mitozoo import storage
from mitozoo.data.slides import Edge, Pixels, corner, open_slide, shared_slide
from mitozoo.errors import DataError, ProtocolError, SlideError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.data.cells import Cells

OPENING_THREADS = 8
BAND_PX = 512  # windows are read in bands of about a tile's height, so that a tile is decoded once


@dataclass(frozen=True)
class Geometry:
    """What a network sees around a cell.

    Attributes:
        window_um: side of the square window, um; None: the whole released patch.
        edge: what lies beyond the slide's border: 'reflect' (see `Slide.read`) or 'black'.
        authors: the window is a tile that goes through the authors' own resize and crop, in place of being resampled
            whole to the network's input.
    """

    window_um: float | None
    edge: Edge
    authors: bool = False

    def __post_init__(self) -> None:
        if self.window_um is not None and not 0 < self.window_um <= 10_000:
            raise ProtocolError(f"a window of {self.window_um} um cannot be meant")
        if self.edge not in get_args(Edge):
            raise ProtocolError(f"edge is '{self.edge}'; it must be one of {', '.join(get_args(Edge))}")


@dataclass(frozen=True, eq=False)
class PatchPlan:
    """The window of each cell.

    Attributes:
        cells: the cells that can be read.
        geometry: what was asked for.
        target_px: side of the encoder's input, or of the authors' tile, px; decides the pyramid level.
        files: the image files, each once.
        file_index: (n,) which of them holds the cell.
        x, y: (n,) the window's centre in that file, px at full resolution.
        side_px: (n,) the window's side, px at full resolution.
        mpp: (n,) microns per pixel of that file at full resolution.
        beyond_border: (n,) whether part of the window lies outside the file.
        skipped: (cell_id, reason) of each cell left out because its file cannot be read.
    """

    cells: Cells
    geometry: Geometry
    target_px: int
    files: tuple[Path, ...]
    file_index: npt.NDArray[np.int64]
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    side_px: npt.NDArray[np.int64]
    mpp: npt.NDArray[np.float64]
    beyond_border: npt.NDArray[np.bool_]
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.file_index)

    @property
    def seen_um(self) -> npt.NDArray[np.float64]:
        """(n,) side of the window as it is truly seen, um: whole pixels of this slide."""
        return self.side_px * self.mpp

    def file(self, row: int) -> Path:
        """Return the image file of a cell."""
        return self.files[int(self.file_index[row])]

    def read(self, row: int) -> Pixels:
        """Return a cell's window (h, w, 3) at the nearest finer level, not yet resampled; safe from many threads."""
        slide = shared_slide(self.file(row))
        return slide.read(
            float(self.x[row]), float(self.y[row]), int(self.side_px[row]), self.target_px, self.geometry.edge
        )

    def reading_order(self) -> npt.NDArray[np.int64]:
        """Return rows by file, then by band of tiles, then from left to right."""
        return np.lexsort((self.x, self.y // BAND_PX, self.file_index))

    def row_keys(self) -> npt.NDArray[np.uint8]:
        """Return (n, 16): for each cell a digest of the file's content, the window's pixels and the edge rule."""
        contents = storage.content_ids(self.files)
        keys = np.empty((len(self), 16), dtype=np.uint8)
        for row in range(len(self)):
            side = int(self.side_px[row])
            left, top = corner(self.x[row], side), corner(self.y[row], side)
            text = f"{contents[self.file_index[row]]} {left} {top} {side} {self.geometry.edge}"
            text += f" tile of {self.target_px} px" if self.geometry.authors else ""
            keys[row] = np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype=np.uint8)
        return keys


@dataclass(frozen=True)
class _Header:
    width: int = 0
    height: int = 0
    mpp: float | None = None
    problem: str = ""


def plan_patches(
    cells: Cells, geometry: Geometry, *, target_px: int, edge_named: bool = False, skip_unreadable: bool = False
) -> PatchPlan:
    """Find each cell's window and check, before any work, that all of them can be read.

    Args:
        cells: the cells.
        geometry: the window and the edge rule.
        target_px: side of the encoder's input, px.
        edge_named: the user named the edge rule, so a window may be larger than a released patch.
        skip_unreadable: leave out the cells of unreadable files and record them, in place of raising.

    Raises:
        SlideError: files are missing or unreadable.
        DataError: a cell lies outside its slide, no microns per pixel are known, or a window does not fit its patch.
    """
    names, file_index = np.unique(cells.table["file"].to_numpy(dtype=np.str_), return_inverse=True)
    files = [cells.root / str(name) for name in names]
    headers = _read_headers(files, own_mpp=np.isin(np.arange(len(files)), file_index[cells.table["mpp"].isna()]))
    readable = np.array([not header.problem for header in headers])
    skipped: tuple[tuple[str, str], ...] = ()
    if not readable.all():
        if not skip_unreadable or not readable.any():
            raise _unreadable([header.problem for header in headers if header.problem], len(files))
        lost = ~readable[file_index]
        ids = cells.table["cell_id"].to_numpy()
        skipped = tuple((str(ids[row]), headers[file_index[row]].problem) for row in np.flatnonzero(lost))
        cells, file_index = cells.take(~lost), np.unique(file_index[~lost], return_inverse=True)[1]
        files = [file for file, header in zip(files, headers, strict=True) if not header.problem]
        headers = [header for header in headers if not header.problem]
    width, height = (np.array([getattr(h, side) for h in headers])[file_index] for side in ("width", "height"))
    mpp = _mpp(cells, headers, file_index)
    if cells.spec.patch_px is None:
        x, y = cells.table["x"].to_numpy(), cells.table["y"].to_numpy()
        _require_inside(cells, x, y, width, height)
        side_px = _window_px(geometry, mpp)
    else:
        x = y = np.full(len(cells), cells.spec.patch_px / 2)
        side_px = _window_in_patch_px(cells, geometry, mpp, width, height, edge_named=edge_named)
    left, top = np.floor(x - side_px / 2 + 0.5), np.floor(y - side_px / 2 + 0.5)
    beyond = (left < 0) | (top < 0) | (left + side_px > width) | (top + side_px > height)
    return PatchPlan(
        cells, geometry, target_px, tuple(files), file_index, x, y, side_px, mpp, beyond, skipped
    )  # fmt: skip


def _read_headers(files: list[Path], own_mpp: npt.NDArray[np.bool_]) -> list[_Header]:
    def read(file: Path, needs_mpp: bool) -> _Header:
        try:
            slide = open_slide(file)
            slide.require_whole()
        except SlideError as error:
            return _Header(problem=error.message)
        return _Header(*slide.size, mpp=slide.mpp if needs_mpp else None)

    with ThreadPoolExecutor(OPENING_THREADS) as threads:
        return list(threads.map(read, files, own_mpp.tolist()))


def _unreadable(problems: list[str], files: int) -> SlideError:
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return SlideError(
        f"{len(problems)} of {files} slides cannot be read: {'; '.join(problems[:3])}{more}",
        hint="Mend or fetch them, or leave their cells out with --skip-unreadable, which the result records.",
    )


def _mpp(cells: Cells, headers: list[_Header], file_index: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return (n,) microns per pixel as the dataset states them, else as the slide's file does."""
    own = np.array([np.nan if header.mpp is None else header.mpp for header in headers])[file_index]
    stated = cells.table["mpp"].to_numpy(dtype=float)
    mpp = np.where(np.isnan(stated), own, stated)
    if (unknown := np.isnan(mpp)).any():
        slides = cells.table["slide"][unknown].unique()
        raise DataError(
            f"no microns per pixel are known for {len(slides)} slides of dataset '{cells.spec.name}', such as "
            f"{slides[0]}: neither the dataset nor the file states them",
            hint="Pass --mpp with the scanner's microns per pixel.",
        )
    return mpp


def _require_inside(
    cells: Cells, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], width: npt.NDArray[np.int64],
    height: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    outside = np.flatnonzero((x < 0) | (y < 0) | (x >= width) | (y >= height))
    if outside.size:
        row = outside[0]
        cell = cells.table.iloc[row]
        more = f" (and {outside.size - 1:,} cells more)" if outside.size > 1 else ""
        raise DataError(
            f"cell {cell['cell_id']} of dataset '{cells.spec.name}' lies at ({x[row]:g}, {y[row]:g}), outside its "
            f"slide {cell['slide']} of {width[row]} x {height[row]} px{more}"
        )


def _window_px(geometry: Geometry, mpp: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    if geometry.window_um is None:
        raise ProtocolError(
            "the window is 'the whole patch', and this dataset has whole slides",
            hint="Name a window in um: --crop-um 56.",
        )
    side_px = np.rint(geometry.window_um / mpp).astype(np.int64)
    if (side_px < 2).any():
        raise ProtocolError(f"a window of {geometry.window_um} um is less than 2 px at {mpp.max():g} um/px")
    return side_px


def _window_in_patch_px(
    cells: Cells, geometry: Geometry, mpp: npt.NDArray[np.float64], width: npt.NDArray[np.int64],
    height: npt.NDArray[np.int64], *, edge_named: bool,
) -> npt.NDArray[np.int64]:  # fmt: skip
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
    side_px = _window_px(geometry, mpp)
    if side_px.max() > patch_px and not edge_named:
        raise DataError(
            f"a window of {geometry.window_um:g} um is {side_px.max()} px, larger than the {patch_px} px patches "
            f"({patch_px * mpp.min():.1f} um) of dataset '{cells.spec.name}'",
            hint="Take a smaller window, or name an edge rule for what lies outside the patch.",
        )
    return side_px
