"""`mitozoo plan`: a grid of runs from one file, on this machine or on a Ray cluster."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from mitozoo.cli.options import LocalPath, json_option, log_options

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.plan.drive import Drive
    from mitozoo.plan.estimate import Estimate
    from mitozoo.plan.run import Report
    from mitozoo.plan.status import Status

PARTLY_FAILED = 3
STATES = ("all", "cached", "done", "failed", "not run")
SHOWN = 20  # failures, and tasks that are running

out_option = click.option(
    "--out", metavar="DIR", help="Folder of the runs, or a URL that machines share, in place of the plan's."
)


@click.group()
def plan() -> None:
    """Run a grid of models, datasets, protocols and axes: each piece of work once, whatever is interrupted."""


@plan.command()
@click.argument("file", type=LocalPath())
@click.option("--dry-run", is_flag=True, help="Show the tasks, what is cached, and an estimate; compute nothing.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes at once; default: one a device.")
@click.option("--ray", metavar="ADDRESS", help="local, auto, or ray://host:port: Ray does the tasks.")
@out_option
@log_options
@json_option
@click.pass_context
def run(
    context: click.Context, *, file: Path, dry_run: bool, workers: int | None, ray: str | None, out: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Do all that a plan's FILE needs and that is not there yet.

    Exit code 3: some tasks failed, the others are done; the same command does the rest.
    """
    from mitozoo.cli.tables import print_json
    from mitozoo.plan.grid import read_plan
    from mitozoo.plan.run import run_plan

    stated = read_plan(file, out=out)
    with _Line() as line:
        report = run_plan(stated, workers=workers, ray=ray, dry_run=dry_run, on_change=line.show)
    _show_report(report)
    if as_json:
        print_json(report.to_json())
    if report.failures if dry_run else report.failed:
        context.exit(PARTLY_FAILED)


@plan.command()
@click.argument("place", metavar="FILE|DIR", type=LocalPath())
@out_option
@json_option
def status(*, place: Path, out: str | None, as_json: bool) -> None:
    """Show how a plan stands, by its FILE or its folder, also while it runs in another terminal."""
    from mitozoo.cli.tables import print_json, print_table
    from mitozoo.plan.status import status_of

    if not place.is_dir():
        from mitozoo.plan.grid import read_plan

        place = read_plan(place, out=out).folder
    found = status_of(place)
    if as_json:
        print_json(found.to_json())
        return
    for line in _headline(found):
        click.echo(line)
    print_table(("tasks", *STATES), _count_rows(found.counts))
    for task in found.running[:SHOWN]:
        click.echo(f"worker {task['worker']} for {task['seconds']:,.0f} s: {task['kind']}: {task['about']}")
    for failure in found.failures[:SHOWN]:
        click.echo(f"FAILED: {failure['about']}: {failure['message']}")


class _Line:
    """One line on a terminal that tells how far a plan is."""

    def __enter__(self) -> _Line:
        from rich.console import Console
        from rich.status import Status

        self.console = Console(stderr=True, highlight=False)
        self.status = Status("surveying the runs", console=self.console)
        self.shown = 0.0
        if self.console.is_terminal:
            self.status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.status.stop()

    def show(self, drive: Drive) -> None:
        """Tell how many tasks of each kind are done, a few times a second at most."""
        if time.monotonic() - self.shown < 0.2:
            return
        self.shown = time.monotonic()
        parts = []
        for kind, counts in drive.graph.counts.items():
            if counts["all"]:
                parts.append(f"{kind} {counts['done'] + counts['cached']}/{counts['all']}")
        failed = f", {len(drive.failures)} failed" if drive.failures else ""
        self.status.update(f"{'  '.join(parts)}{failed}")


def _show_report(report: Report) -> None:
    from mitozoo.cli.tables import print_table

    if report.estimate is not None:
        _show_estimate(report.estimate)
    else:
        print_table(("tasks", *STATES), _count_rows(report.tasks), err=True)
        told = report.results
        lines = f"{told['all']} runs: {told['done']} computed, {told['cached']} were there"
        click.echo(lines + (f", {told['unfinished']} NOT FINISHED" if told["unfinished"] else ""), err=True)
    for failure in report.failures[:SHOWN]:
        click.echo(f"FAILED: {failure['about']}: {failure['message']}", err=True)
        if failure["hint"]:
            click.echo(f"  {failure['hint']}", err=True)
    if len(report.failures) > SHOWN:
        click.echo(f"and {len(report.failures) - SHOWN} more failures", err=True)
    if report.failed and report.estimate is None:
        click.echo("The same command does what is left.", err=True)
    click.echo(f"journal and workers' logs in {report.folder}", err=True)


def _show_estimate(found: Estimate) -> None:
    from mitozoo.cli.tables import print_table

    rows = [
        (kind, *(f"{counts[name]:,}" for name in ("all", "cached", "to do"))) for kind, counts in found.tasks.items()
    ]
    print_table(("tasks", "all", "cached", "to do"), rows, err=True)
    hours = "unknown" if found.hours is None else f"{found.hours:,.2f} h"
    gpu = "unknown" if found.gpu_hours is None else f"{found.gpu_hours:,.2f}"
    more = "more than " if found.unknown and found.hours is not None else ""
    click.echo(
        f"{found.cells:,} cells to embed, {found.disk_bytes / 1e6:,.0f} MB of disk, {more}{hours} by the clock, "
        f"{more if found.gpu_hours else ''}{gpu} GPU hours",
        err=True,
    )
    if found.unknown:
        named = ", ".join(found.unknown[:5]) + (f" and {len(found.unknown) - 5} more" if len(found.unknown) > 5 else "")
        click.echo(f"no rate was measured here of {named}: mitozoo bench, or a first run, measures one", err=True)
    for assumed in found.assumed:
        click.echo(f"assumed: {assumed}", err=True)


def _headline(found: Status) -> list[str]:
    age = time.time() - found.last
    told = f", last heard of {age:,.0f} s ago" if found.state == "running" else ""
    lost = f", {found.lost} times a worker was lost" if found.lost else ""
    return [
        f"{found.state} since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(found.began))}{told}{lost}",
        f"{found.executor}; {found.folder}",
    ]


def _count_rows(counts: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    return [(kind, *(f"{found.get(name, 0):,}" for name in STATES)) for kind, found in counts.items()]
