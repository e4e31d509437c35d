"""`mitozoo export`: a run's predictions in the formats of the viewers that pathologists use."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from mitozoo.cli.options import LocalPath, runs_option

if TYPE_CHECKING:
    from pathlib import Path

CSV, QUPATH, _, _ = LAYOUTS = ("csv", "qupath", "midog", "slide-runner")


@click.command()
@click.argument("run")
@click.option(
    "--format", "layout", type=click.Choice(LAYOUTS), default=CSV, show_default=True,
    help="A table; GeoJSON for QuPath, one file a slide; JSON like MIDOG's; SQLite for SlideRunner.",
)  # fmt: skip
@click.option(
    "-o", "path", type=LocalPath(), required=True, metavar="PATH",
    help="The file to write; of qupath, the folder.",
)  # fmt: skip
@click.option(
    "--data", type=LocalPath(), metavar="DIR",
    help="The folder of the dataset's files, which say where the cells lie.",
)  # fmt: skip
@click.option("--seed", type=int, metavar="N", help="Scores of this seed alone, not their mean over all seeds.")
@click.option("--fraction", type=float, metavar="F", help="Scores by this label budget; the default is the largest.")
@click.option("--points", is_flag=True, help="For qupath: points in place of squares.")
@click.option(
    "--box-px", type=click.FloatRange(1, 10_000), default=50, show_default=True, metavar="PX",
    help="Side of squares around the cells, px at full resolution.",
)  # fmt: skip
@runs_option
def export(
    *,
    run: str,
    layout: str,
    path: Path,
    data: Path | None,
    seed: int | None,
    fraction: float | None,
    points: bool,
    box_px: float,
    out: Path | str,
) -> None:
    """Write what a run says of each test cell, and what became of it: true or false positive, missed, true negative.

    RUN is a run's folder, its result.json, or a unique prefix of its id. A cell's score is the mean over its fits; it
    is called positive where at least half of them call it so.
    """
    from mitozoo.engine.cells_again import cells_again
    from mitozoo.errors import MitozooError
    from mitozoo.exports.export import write_for_viewer, write_table
    from mitozoo.exports.placed import place
    from mitozoo.exports.qupath import moved_in_qupath
    from mitozoo.results.find_run import find_run
    from mitozoo.results.tested import read_tested

    tested = read_tested(find_run(run, out), fraction=fraction, seed=seed)
    ids = tested.cells["cell_id"].tolist()
    try:
        placed = place(tested, cells_again(tested.document, ids, data))
    except MitozooError as error:
        if layout != CSV or data is not None:
            raise
        click.echo(f"without positions: {error.message}", err=True)
        write_table(tested, None, path)
    else:
        if layout == CSV:
            write_table(tested, placed, path)
        else:
            write_for_viewer(placed, layout, path, points=points, box_px=box_px)
            if layout == QUPATH and (moved := moved_in_qupath(placed)):
                click.echo(
                    f"open {', '.join(moved[:3])}{' and others' if len(moved) > 3 else ''} in QuPath with the argument "
                    "--no-crop, else it moves their origin",
                    err=True,
                )
    _summarise(Counter(tested.by_cell()["outcome"]), len(ids), tested.fraction, len(tested.fits))
    click.echo(f"export: {path}")


def _summarise(outcomes: Counter[str], cells: int, fraction: float, fits: int) -> None:
    counted = ", ".join(f"{count:,} {name}" for name, count in outcomes.most_common())
    tested = sum(outcomes.values())
    untested = f"; {cells - tested:,} cells were never tested" if tested < cells else ""
    click.echo(f"{tested:,} cells: {counted}{untested}; {fits} fits at label fraction {fraction:g}", err=True)
