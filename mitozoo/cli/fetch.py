"""`mitozoo fetch`: a dataset's files onto this machine, asked about before the first byte."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from mitozoo.cli.options import LocalPath, json_option, log_options
from mitozoo.errors import MitozooError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.download.plan import Plan
    from mitozoo.plugins.dataset_spec import DatasetSpec

MOST_AT_ONCE = 16
NOTHING_WAS_FETCHED = 1


@click.command()
@click.argument("name")
@click.option(
    "--data",
    type=LocalPath(),
    metavar="DIR",
    help="Where the files belong; what is there is made use of. Without it, eval and describe find them by themselves.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be fetched, and fetch nothing.")
@click.option("--labels-only", is_flag=True, help="Leave out the images: describe needs none.")
@click.option("--yes", "-y", is_flag=True, help="Start without asking.")
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1, MOST_AT_ONCE),
    default=4,
    show_default=True,
    metavar="N",
    help="How many files at once.",
)
@log_options
@json_option
def fetch(
    *, name: str, data: Path | None, dry_run: bool, labels_only: bool, yes: bool, jobs: int, as_json: bool
) -> None:
    """Fetch the files of dataset NAME, go on where an earlier fetch broke off, and verify what is there."""
    from mitozoo.download.folder import own_folder
    from mitozoo.engine.find_dataset import find_dataset, names_a_table

    if names_a_table(name):
        raise MitozooError(f"{name} is a table of your own cells: there is nothing to fetch")
    spec = find_dataset(name).spec
    folder = own_folder(spec) if data is None else data

    from mitozoo.cli.fetch_progress import FetchBars
    from mitozoo.download.dataset import fetch_dataset, plan_dataset
    from mitozoo.download.transfer import Downloader

    bars = FetchBars()

    def agree(plan: Plan) -> bool:
        bars.stop_asking()
        _tell(spec, plan, bars)
        if not yes and (sys.stdin is None or not sys.stdin.isatty()):
            raise MitozooError(
                "fetch asks before it starts, and there is nobody here to answer",
                hint="Say --yes to start, or --dry-run to see what would be fetched.",
            )
        agreed = yes or click.confirm("Start?", err=True)
        if agreed:
            bars.start(plan)
        return agreed

    with Downloader(connections=jobs) as downloader, bars:
        if dry_run:
            plan = plan_dataset(spec, folder, downloader, listener=bars, labels_only=labels_only, jobs=jobs)
            bars.stop_asking()
            _tell(spec, plan, bars)
            fetched = False
        else:
            plan = fetch_dataset(
                spec, folder, downloader, agree=agree, listener=bars, labels_only=labels_only, jobs=jobs
            )
            fetched = bars.started or not plan.missing
    if as_json:
        from mitozoo.cli.tables import print_json

        print_json(_document(spec, plan, fetched=fetched))
    if not dry_run:
        _tell_the_end(spec, plan, data, bars, fetched=fetched)
        if not fetched:
            click.get_current_context().exit(NOTHING_WAS_FETCHED)


def _tell(spec: DatasetSpec, plan: Plan, bars: Any) -> None:
    """Say what would be fetched, where from and where to, and whether it fits."""
    from mitozoo.download.archives import free_bytes
    from mitozoo.download.folder import sources

    there = len(plan.steps) - len(plan.missing)
    size = gigabytes(plan.bytes_to_fetch)
    if plan.untold:
        published = f"; all files together are published as about {spec.download_gb:g} GB" if spec.download_gb else ""
        size = f"{size} and {_files(plan.untold)} whose size nobody tells{published}"
    bars.note(f"{spec.title or spec.name}")
    bars.note(f"  licence   {spec.license}; see {spec.reference}")
    bars.note(f"  from      {', '.join(sources(spec))}")
    bars.note(f"  to        {plan.folder}")
    bars.note(f"  there     {_files(there)} of {len(plan.steps):,}")
    bars.note(f"  to fetch  {_files(len(plan.missing))}: {size}" if plan.missing else "  to fetch  nothing")
    bars.note(f"  free      {gigabytes(free_bytes(plan.folder))}")


def _tell_the_end(spec: DatasetSpec, plan: Plan, data: Path | None, bars: Any, *, fetched: bool) -> None:
    if not fetched:
        bars.note("Nothing was fetched.")
        return
    option = "" if data is None else f" --data {data}"
    what = "all files were there already" if not plan.missing else f"{_files(len(plan.missing))} fetched and checked"
    taken = sum(step.there and not step.verified for step in plan.steps)
    if taken:
        what += f"; {_files(taken)} taken as they are, since no checksum is published"
    bars.note(f"{spec.name}: {what}. Look at it: mitozoo describe {spec.name}{option}")
    if spec.by_hand:
        bars.note(f"By hand: {spec.by_hand} In {plan.folder}.")


def _document(spec: DatasetSpec, plan: Plan, *, fetched: bool) -> dict[str, Any]:
    return {
        "dataset": spec.name,
        "folder": str(plan.folder),
        "license": spec.license,
        "fetched": fetched,
        "files": [step.to_json() for step in plan.steps],
        "missing": 0 if fetched else len(plan.missing),
        "bytes_to_fetch": plan.bytes_to_fetch,
        "files_of_untold_size": plan.untold,
        "by_hand": spec.by_hand,
    }


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def gigabytes(count: int) -> str:
    """Return a number of bytes for people: '65.0 GB', '2.8 MB', '31 kB'."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e3:,.0f} kB"
