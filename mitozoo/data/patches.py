"""Where each cell's patch lies: a window of one physical size, checked before any work starts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mitozoo import storage
from mitozoo.data.slide import Pixels, corner
from mitozoo.data.slides import shared_slide
from mitozoo.data.window_checks import (
    known_mpp,
    read_headers,
    refuse_unseen,
    unreadable,
    window_in_patch_px,
    window_px,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from mitozoo.data.cells import Cells
    from mitozoo.data.geometry import Geometry
    from mitozoo.data.treatments import Treatment

LISTED = 20  # cells and slides that a finding names
_PER_CELL = ("file_index", "x", "y", "side_px", "mpp", "beyond_border", "centred_outside")
BAND_PX = 512  # windows are read in bands of about a tile's height, so that a tile is decoded once


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
        centred_outside: (n,) whether even its centre does, by less than half a window.
        skipped: (cell_id, reason) of each cell left out because its file cannot be read.
        mpp_disagreements: (slide, um/px by its file, um/px by the dataset) where they differ by more than 2 %; the
            file's is taken.
        treatments: what is done to each window's pixels, in this order.
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
    centred_outside: npt.NDArray[np.bool_]
    skipped: tuple[tuple[str, str], ...] = ()
    mpp_disagreements: tuple[tuple[str, float, float], ...] = ()
    treatments: tuple[Treatment, ...] = ()

    def __len__(self) -> int:
        return len(self.file_index)

    @property
    def seen_um(self) -> npt.NDArray[np.float64]:
        """(n,) side of the window as it is truly seen, um: whole pixels of this slide."""
        return self.side_px * self.mpp

    def findings(self) -> dict[str, Any]:
        """Return, as plain JSON values, what a reader of the numbers must know about these windows."""
        outside = self.cells.table["cell_id"].to_numpy()[self.centred_outside]
        return {
            "skipped_cells": [list(skipped) for skipped in self.skipped],
            "cells_centred_outside": {"cells": len(outside), "first": [str(cell_id) for cell_id in outside[:LISTED]]},
            "mpp_disagreements": [
                {"slide": slide, "file": file, "dataset": dataset} for slide, file, dataset in self.mpp_disagreements
            ],
        }

    def notes(self) -> list[str]:
        """Return what a person should be told before any work starts."""
        notes = []
        if outside := int(self.centred_outside.sum()):
            notes.append(f"{outside} cells are centred outside their slide, by less than half a window; they are kept")
        if self.mpp_disagreements:
            slide, file, dataset = self.mpp_disagreements[0]
            notes.append(
                f"the files of {len(self.mpp_disagreements)} slides state other microns per pixel than the dataset, "
                f"such as {slide}: {file:g}, not {dataset:g}; the files' are taken (--mpp goes before both)"
            )
        return notes

    def file(self, row: int) -> Path:
        """Return the image file of a cell."""
        return self.files[int(self.file_index[row])]

    def read(self, row: int) -> Pixels:
        """Return a cell's window (h, w, 3) at the nearest finer level, not yet resampled; safe from many threads."""
        slide = shared_slide(self.file(row))
        window = slide.read(
            float(self.x[row]), float(self.y[row]), int(self.side_px[row]), self.target_px, self.geometry.edge
        )
        for treat in self.treatments:
            window = treat(window, float(self.seen_um[row]) / len(window))
        return window

    def which_window(self, row: int) -> Hashable:
        """Return what a cell's pixels depend on: two plans whose answers are equal `read` the same ones."""
        file, side = self.file(row), int(self.side_px[row])
        level = shared_slide(file).level_for(side, self.target_px)
        place = float(self.x[row]), float(self.y[row]), side, level, self.geometry.edge
        return file, *place, *((float(self.mpp[row]), self.treatments) if self.treatments else ())

    def take(self, rows: npt.NDArray[np.int64], *treatments: Treatment) -> PatchPlan:
        """Return the windows of these rows alone, with further treatments before those that the plan has."""
        arrays = {name: getattr(self, name)[rows] for name in _PER_CELL}
        treated = (*treatments, *self.treatments)
        return replace(self, cells=self.cells.take(rows), treatments=treated, **arrays)

    def widened(self, share: float) -> PatchPlan:
        """Return a plan that reads, around the same pixels, windows wider by a share of their side on each side.

        What else it says of the windows is said of those of this plan.
        """
        more = np.rint(self.side_px * share).astype(np.int64)
        return replace(
            self, side_px=self.side_px + 2 * more, target_px=self.target_px + 2 * round(self.target_px * share)
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
            text += "".join(f" {treatment}" for treatment in self.treatments)
            keys[row] = np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype=np.uint8)
        return keys


def join_plans(cells: Cells, plans: Sequence[PatchPlan]) -> PatchPlan:
    """Return one plan for the cells of several, which are all of `cells`, in the plans' order."""
    offsets = np.cumsum([0, *(len(plan.files) for plan in plans[:-1])])
    arrays: dict[str, Any] = {name: np.concatenate([getattr(plan, name) for plan in plans]) for name in _PER_CELL}
    arrays["file_index"] = np.concatenate(
        [plan.file_index + offset for plan, offset in zip(plans, offsets, strict=True)]
    )
    files = tuple(file for plan in plans for file in plan.files)
    skipped = tuple(skipped for plan in plans for skipped in plan.skipped)
    disagreements = tuple(told for plan in plans for told in plan.mpp_disagreements)
    return replace(
        plans[0], cells=cells, files=files, skipped=skipped, mpp_disagreements=disagreements, **arrays
    )  # fmt: skip


def plan_patches(
    cells: Cells, geometry: Geometry, *, target_px: int, edge_named: bool = False, mpp_named: bool = False,
    skip_unreadable: bool = False,
) -> PatchPlan:  # fmt: skip
    """Find each cell's window and check, before any work, that all of them can be read.

    Microns per pixel are those of the slide's file, else the dataset's; of a released patch they are the dataset's,
    since its file's were written by whoever cropped it.

    Args:
        cells: the cells.
        geometry: the window and the edge rule.
        target_px: side of the encoder's input, px.
        edge_named: the user named the edge rule, so a window may be larger than a released patch.
        mpp_named: the cells' microns per pixel are what the user named, and go before those of any file.
        skip_unreadable: leave out the cells of unreadable files and record them, in place of raising.

    Raises:
        SlideError: files are missing or unreadable.
        DataError: a cell's whole window lies outside its slide, no microns per pixel are known, or a window does not
            fit its patch.
    """
    file_index, names = pd.factorize(cells.table["file"].astype("str"), sort=True)
    files = [cells.root / str(name) for name in names]
    file_first = cells.spec.patch_px is None and not mpp_named
    needs_mpp = file_first | np.isin(np.arange(len(files)), file_index[cells.table["mpp"].isna()])
    headers = read_headers(files, needs_mpp)
    readable = np.array([not header.problem for header in headers])
    skipped: tuple[tuple[str, str], ...] = ()
    if not readable.all():
        if not skip_unreadable or not readable.any():
            raise unreadable([header.problem for header in headers if header.problem], len(files))
        lost = ~readable[file_index]
        ids = cells.table["cell_id"].to_numpy()
        skipped = tuple((str(ids[row]), headers[file_index[row]].problem) for row in np.flatnonzero(lost))
        cells, file_index = cells.take(~lost), np.unique(file_index[~lost], return_inverse=True)[1]
        files = [file for file, header in zip(files, headers, strict=True) if not header.problem]
        headers = [header for header in headers if not header.problem]
    width, height = (np.array([getattr(h, side) for h in headers])[file_index] for side in ("width", "height"))
    mpp, disagreements = known_mpp(cells, headers, file_index, file_first=file_first)
    if cells.spec.patch_px is None:
        x, y = cells.table["x"].to_numpy(), cells.table["y"].to_numpy()
        side_px = window_px(geometry, mpp)
    else:
        x = y = np.full(len(cells), cells.spec.patch_px / 2)
        side_px = window_in_patch_px(cells, geometry, mpp, width, height, edge_named=edge_named)
    left, top = np.floor(x - side_px / 2 + 0.5), np.floor(y - side_px / 2 + 0.5)
    nothing_seen = (left + side_px <= 0) | (top + side_px <= 0) | (left >= width) | (top >= height)
    refuse_unseen(cells, np.flatnonzero(nothing_seen), x, y, width, height)
    return PatchPlan(
        cells, geometry, target_px, tuple(files), file_index, x, y, side_px, mpp,
        beyond_border=(left < 0) | (top < 0) | (left + side_px > width) | (top + side_px > height),
        centred_outside=(x < 0) | (y < 0) | (x >= width) | (y >= height),
        skipped=skipped, mpp_disagreements=disagreements,
    )  # fmt: skip
