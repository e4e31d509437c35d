"""Write a run's predictions in the format of a viewer; each file is made from the run and the places of its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo.errors import StorageError
from mitozoo.exports.cell_csv import write_csv
from mitozoo.exports.midog import write_midog
from mitozoo.exports.qupath import write_qupath
from mitozoo.exports.slide_runner import write_slide_runner

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.exports.placed import PlacedCells
    from mitozoo.results.tested import TestedRun

QUPATH, MIDOG, SLIDE_RUNNER = VIEWERS = ("qupath", "midog", "slide-runner")
BOX_PX = 50.0  # side of the boxes in MIDOG's own files


def write_table(tested: TestedRun, placed: PlacedCells | None, path: Path) -> None:
    """Write the CSV table; without `placed`, it has no positions.

    Raises:
        StorageError: the file cannot be written.
    """
    classes = tested.document["dataset"]["classes"]
    table = tested.by_cell() if placed is None else placed.table
    write_csv(table, classes["positive"]["name"], classes["negative"]["name"], path)


def write_for_viewer(
    placed: PlacedCells, layout: str, path: Path, *, points: bool = False, box_px: float = BOX_PX
) -> None:
    """Write the cells for a viewer.

    Args:
        placed: the cells.
        layout: 'qupath' (a folder), 'midog' or 'slide-runner' (a file).
        path: what to write.
        points: QuPath's points in place of squares.
        box_px: side of squares, px at full resolution.

    Raises:
        StorageError: it cannot be written, or QuPath's folder is there.
    """
    if layout == QUPATH:
        if path.exists():
            raise StorageError(f"there is something at {path}", hint="Name a folder that is not there yet.")
        write_qupath(placed, path, points=points, box_px=box_px)
    elif layout == MIDOG:
        write_midog(placed, path, box_px=box_px)
    elif layout == SLIDE_RUNNER:
        write_slide_runner(placed, path)
    else:
        raise ValueError(f"layout is {layout!r}; it must be one of {', '.join(VIEWERS)}")
