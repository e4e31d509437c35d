"""Tested cells with their places: which image shows each, and where in it, px at full resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.data.slides import open_slide
from mitozoo.errors import DataError, SlideError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from mitozoo.data.cells import Cells
    from mitozoo.results.tested import TestedRun

Size = tuple[int, int] | tuple[None, None]


@dataclass(frozen=True, eq=False)
class PlacedCells:
    """What a viewer needs of a run.

    Attributes:
        table: that of `TestedRun.by_cell`, with image (its file, relative to the dataset's folder), x, y (centre, px at
            full resolution), case ('' unknown) and mpp (um/px as the label files state it; NaN: the image's own).
        positive_class, negative_class: their names.
        model: whose scores these are.
        root: the dataset's folder.
    """

    table: pd.DataFrame
    positive_class: str
    negative_class: str
    model: str
    root: Path

    @property
    def images(self) -> list[str]:
        """Every image that shows a tested cell, sorted."""
        return sorted(set(self.table["image"]))

    def size(self, image: str) -> Size:
        """Return an image's width and height, px; of one that is not at hand, (None, None)."""
        try:
            return open_slide(self.root / image).size
        except SlideError:
            return None, None


def place(tested: TestedRun, cells: Cells) -> PlacedCells:
    """Join a run's tested cells with their places.

    Args:
        tested: the run.
        cells: those of its cell table, in its order, as the dataset's label files hold them.

    Raises:
        DataError: only patches were released, and not where they lie.
    """
    if cells.table[["x", "y"]].isna().to_numpy().any():
        raise DataError(
            f"dataset '{cells.spec.name}' releases patches without their places: no viewer could show them on a slide",
            hint="As a table: --format csv, without --data.",
        )
    classes = tested.document["dataset"]["classes"]
    # a released patch is shown where it was cut: on the slide that it bears the name of
    image = cells.table["file"] if cells.spec.patch_px is None else cells.table["slide"]
    places = cells.table[["cell_id", "case", "x", "y", "mpp"]].assign(image=image.to_numpy())
    table = tested.by_cell().merge(places, on="cell_id", how="left", validate="one_to_one")
    return PlacedCells(
        table=table, positive_class=classes["positive"]["name"], negative_class=classes["negative"]["name"],
        model=tested.document["model"]["name"], root=cells.root,
    )  # fmt: skip


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return (n) rows as dictionaries of plain Python values."""
    columns = {str(name): table[name].tolist() for name in table.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def boxes(table: pd.DataFrame, side_px: float) -> list[list[float]]:
    """Return (n) corners (x1, y1, x2, y2) of squares around the centres; whole numbers stay whole."""
    centres = table[["x", "y"]].to_numpy(dtype=np.float64)
    corners = np.hstack([centres - side_px / 2, centres + side_px / 2])
    return [[plain(value) for value in box] for box in corners.tolist()]


def plain(value: float) -> float:
    """Return a number that is whole as a whole number, so that files say 12 and not 12.0."""
    return int(value) if float(value).is_integer() else value
