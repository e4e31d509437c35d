"""A dataset as far as it can be seen here: its cells, and the crops of those whose images are in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mitozoo.data.cells import Cells, read_cells
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import plan_patches
from mitozoo.engine.find_dataset import find_data
from mitozoo.errors import SlideError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.data.patches import PatchPlan
    from mitozoo.data.slide import Edge, Pixels

READ_PX = 128  # the level that has a window in so many px shows what an encoder would see


@dataclass(frozen=True, eq=False)
class VisibleDataset:
    """Cells, and what can be seen of them.

    Attributes:
        cells: all of them.
        plan: the windows of those that are here; None where each released patch is seen whole, or none is here.
        here: (m,) positions of the cells whose image is here, ascending.
        sides: (n,) side of each window, px at full resolution; 0 where it is not known.
        missing: how many images are not here.
        unreadable: how many are here and cannot be read.
    """

    cells: Cells
    plan: PatchPlan | None
    here: npt.NDArray[np.int64]
    sides: npt.NDArray[np.float64]
    missing: int
    unreadable: int = 0

    def reading_order(self) -> npt.NDArray[np.int64]:
        """Return the positions of the cells that are here in the order in which they are best read."""
        return self.here if self.plan is None else self.here[self.plan.reading_order()]

    def read(self, row: int) -> Pixels | None:
        """Return the crop of the cell at a position (h, w, 3), None where it is not here or cannot be decoded."""
        place = int(np.searchsorted(self.here, row))
        if place == len(self.here) or self.here[place] != row:
            return None
        try:
            return self._whole_patch(row) if self.plan is None else self.plan.read(place)
        except SlideError:
            return None

    def _whole_patch(self, row: int) -> Pixels:
        from mitozoo.data.slide_files import whole_image

        return whole_image(self.cells.root / self.cells.table["file"].iloc[row])


def look_for(
    name: str,
    data: Path | None,
    *,
    negatives: str,
    mpp: float | None,
    group: str,
    edge: Edge,
    slide_um: float,
    window_um: float | None,
) -> VisibleDataset:
    """Read a dataset's cells and find the windows of those whose images are here; others are no error.

    Args:
        name: of a registered dataset, or a table of cells.
        data: its folder.
        negatives: 'hard', 'other' or 'all'.
        mpp: microns per pixel of every slide, in place of the dataset's.
        group: 'image' to take each image for a group.
        edge: what lies beyond a slide's border.
        slide_um: side of the window on slides, um.
        window_um: side of every window, released patches cut down to it too, um; None: as above, and whole patches.

    Raises:
        MitozooError: the label files are not what they must be.
    """
    found = find_data(name, data)
    spec, root = found.spec, found.folder
    cells = read_cells(spec, root, negatives=negatives, mpp=mpp, to_evaluate=False)
    if group == "image":
        cells = cells.by_image()
    files = cells.table["file"]
    there = {file: (root / file).is_file() for file in files.unique()}
    here = np.flatnonzero(files.map(there).to_numpy(dtype=bool))
    missing = sum(not one for one in there.values())
    if cells.table["x"].isna().all():  # released patches whose place nobody tells
        return VisibleDataset(cells, None, here, np.zeros(len(cells)), missing)
    geometry = Geometry(window_um or (None if spec.patch_px else slide_um), edge)
    sides = _sides_by_labels(cells, geometry.window_um)
    if not len(here):
        return VisibleDataset(cells, None, here, sides, missing)
    try:
        plan = plan_patches(
            cells.take(here), geometry, target_px=READ_PX, edge_named=True, mpp_named=mpp is not None,
            skip_unreadable=True,
        )  # fmt: skip
    except SlideError:  # not one of them can be read
        return VisibleDataset(cells, None, here[:0], sides, missing, len(there) - missing)
    planned = np.flatnonzero(cells.table["cell_id"].isin(plan.cells.table["cell_id"]).to_numpy(dtype=bool))
    sides[planned] = plan.side_px
    return VisibleDataset(cells, plan, planned, sides, missing, len(there) - missing - len(plan.files))


def _sides_by_labels(cells: Cells, window_um: float | None) -> npt.NDArray[np.float64]:
    """Return (n,) side of each window, px, as far as label files alone tell; else 0."""
    if window_um is None:
        return np.full(len(cells), float(cells.spec.patch_px or 0))
    sides: npt.NDArray[np.float64] = np.nan_to_num(np.rint(window_um / cells.table["mpp"].to_numpy(dtype=float)))
    return sides
