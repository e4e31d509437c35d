"""`mitozoo report`: runs as one page that people can look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mitozoo.cli.options import LocalPath, log_options, runs_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.data.patches import PatchPlan
    from mitozoo.report.gathering import Run


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN [RUN...]")
@click.option(
    "--page", "-o", type=LocalPath(dir_okay=False), default=Path("report.html"), show_default=True,
    metavar="FILE", help="The page to write.",
)  # fmt: skip
@click.option(
    "--figures", type=LocalPath(file_okay=False), metavar="DIR",
    help="Every figure as SVG (PNG too with 'mitozoo[figures]'), and its data as CSV.",
)  # fmt: skip
@click.option(
    "--data",
    multiple=True,
    metavar="NAME=DIR",
    help="Where a dataset's files lie, for pictures; DIR alone for one dataset.",
)
@click.option("--no-pictures", is_flag=True, help="Read no slide: neither crops nor maps of embeddings.")
@runs_option
@log_options
def report(
    *, runs: Sequence[str], page: Path, figures: Path | None, data: Sequence[str], no_pictures: bool, out: Path | str
) -> None:
    """Write one page about runs that needs no network: scores, curves, controls, a checklist and pictures.

    RUN is a run's folder, its result.json, or a unique prefix of its id. Runs on other cells, by another protocol or
    under other conditions stand in sections of their own.
    """
    from mitozoo.report.report import write_report
    from mitozoo.results.find_run import find_run

    named: dict[str, str] = {}
    for text in data:
        dataset, _, folder = text.rpartition("=")
        named[dataset] = folder

    def windows(run: Run) -> PatchPlan:
        from mitozoo.engine.seen_again import see_again

        lies_in = named.get(run.document["dataset"]["name"], named.get(""))
        ids = run.cells["cell_id"].tolist()
        return see_again(run.document, ids, None if lies_in is None else Path(lies_in))

    folders = [find_run(name, out) for name in runs]
    for line in write_report(folders, page, windows=None if no_pictures else windows, figures=figures):
        click.echo(line, err=True)
    click.echo(f"report: {page}")
