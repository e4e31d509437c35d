"""`mitozoo submission`: make a folder of a run that anyone can check, check one, and set up a place that takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mitozoo.cli.options import LocalPath, json_option, runs_option
from mitozoo.errors import MitozooError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.submission.verdict import Verdict

REFUSED = 1


@click.group()
def submission() -> None:
    """Make a submission of a run, or check one."""


@submission.command()
@click.argument("run")
@click.option("--bundle", "-o", type=LocalPath(), required=True, metavar="DIR", help="The folder to make.")
@click.option("--contact", required=True, metavar="TEXT", help="A mail address or an https address.")
@click.option(
    "--test-scored", "scored", type=int, metavar="N",
    help="How often the test set was scored on the way to this result, this time among them.",
)  # fmt: skip
@click.option(
    "--selected-on-test/--not-selected-on-test", "selected_on", default=None,
    help="Whether scores on the test set served to choose anything.",
)  # fmt: skip
@click.option(
    "--pretraining", metavar="NAME,NAME",
    help="What the model was pretrained on, where its record does not say; 'none' for nothing.",
)  # fmt: skip
@click.option("--note", default="", metavar="TEXT", help="Anything else that reviewers should know.")
@click.option(
    "--check-report", type=LocalPath(dir_okay=False), metavar="FILE",
    help="What mitozoo check MODEL --json wrote, where the weights are; else the model is checked now.",
)  # fmt: skip
@runs_option
def create(
    *, run: str, bundle: Path, contact: str, scored: int | None, selected_on: bool | None, pretraining: str | None,
    note: str, check_report: Path | None, out: Path | str,
) -> None:  # fmt: skip
    """Make the folder that goes into a results repository: RUN's result, its tables, and what you declare.

    RUN is a run's folder, its result.json, or a unique prefix of its id. It is verified first.
    """
    from mitozoo.results.find_run import find_run
    from mitozoo.submission.create import create_submission
    from mitozoo.submission.declaration import Declaration
    from mitozoo.submission.reading import read_json

    named = None if pretraining is None else tuple(name.strip() for name in pretraining.split(",") if name.strip())
    declaration = Declaration(
        contact=contact, pretraining=() if named == ("none",) else named, scored=scored, selected_on=selected_on,
        note=note,
    )  # fmt: skip
    report = None if check_report is None else read_json(check_report)
    create_submission(find_run(run, out), bundle, declaration, check=report)
    if scored is None:
        click.echo(
            "Nothing declares how often the test set was scored: the entry will be 'self-reported, test labels public'."
            " Say --test-scored N with --selected-on-test or --not-selected-on-test.",
            err=True,
        )
    click.echo(f"submission: {bundle}")
    click.echo(f"See what a results repository will say: mitozoo submission check {bundle}", err=True)


@submission.command()
@click.argument("bundle", type=LocalPath())
@click.option(
    "--against", type=LocalPath(file_okay=False, exists=True), metavar="DIR",
    help="A folder of other submissions, to find scores that are too good or another model's.",
)  # fmt: skip
@click.option(
    "--verdict", "verdict_file", type=LocalPath(dir_okay=False), metavar="FILE",
    help="Write the level and the flags where a leaderboard finds them.",
)  # fmt: skip
@click.option("--re-run", is_flag=True, help="Also compute a random sample again, from pixels and weights.")
@click.option("--data", type=LocalPath(), metavar="DIR", help="With --re-run: the dataset's folder.")
@click.option("--cells", type=click.IntRange(1), metavar="N", help="With --re-run: score so many test cells again.")
@click.option("--seed", type=int, metavar="N", help="With --re-run: draw the sample of an earlier one.")
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="With --re-run: where to compute.")
@json_option
def check(
    *, bundle: Path, against: Path | None, verdict_file: Path | None, re_run: bool, data: Path | None,
    cells: int | None, seed: int | None, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Check the submission in BUNDLE, offline and without weights, and say how far its numbers can be trusted.

    Exit code 1 where it contradicts itself, its plugins or its dataset; 2 where it cannot be read as a submission.
    """
    from mitozoo.cli.tables import print_json
    from mitozoo.submission.check import check_submission

    again = None
    if re_run:
        from mitozoo.submission.re_run import CELLS_SCORED, ReRun

        again = ReRun(data=data, cells=cells or CELLS_SCORED, seed=seed, device=device)
    elif data or cells or seed is not None:
        raise MitozooError("--data, --cells and --seed are for --re-run", hint="Add --re-run.")
    try:
        found = check_submission(bundle, against=against, again=again)
    except MitozooError as error:
        if as_json:
            print_json({"bundle": str(bundle), "accepted": False, "refused": error.message})
        raise
    if verdict_file is not None:
        found.write(verdict_file)
    if as_json:
        print_json({"bundle": str(bundle), "accepted": True} | found.to_json() | {"checked": found.checked})
    else:
        _show(found)


@submission.command(name="check-all")
@click.argument("submissions", type=LocalPath())
@click.option(
    "--verdicts", type=LocalPath(file_okay=False), required=True, metavar="DIR",
    help="Where NAME.json says what was found of the submission NAME.",
)  # fmt: skip
@json_option
@click.pass_context
def check_all(context: click.Context, *, submissions: Path, verdicts: Path, as_json: bool) -> None:
    """Check every submission in the folder SUBMISSIONS that has no verdict of this version yet, and write it.

    Exit code 1 where one is refused; the verdicts of the others are written all the same.
    """
    from mitozoo.cli.tables import print_json
    from mitozoo.submission.repositories import check_all as check_each

    found = []
    for one in check_each(submissions, verdicts):
        found.append(one)
        if not as_json:
            words = f"refused: {one.refused}" if one.refused else one.level + ", as before" * one.kept
            click.echo(f"{one.name}: {words}")
    if as_json:
        print_json([vars(one) for one in found])
    context.exit(REFUSED if any(one.refused for one in found) else 0)


@submission.command()
@click.argument("folder", type=LocalPath())
def template(*, folder: Path) -> None:
    """Write a results repository into FOLDER: instructions, and workflows that check submissions and publish them."""
    from mitozoo.submission.repositories import write_template

    for name in write_template(folder):
        click.echo(f"wrote {folder / name}")


def _show(found: Verdict) -> None:
    values: list[tuple[str, list[str], Any]] = [
        ("ok", found.checked, "green"), ("flag", found.doubts, "yellow"), ("note", found.remarks, "yellow"),
    ]  # fmt: skip
    for word, lines, colour in values:
        for line in lines:
            click.echo(f"{click.style(word.ljust(4), fg=colour)}  {line}")
    click.echo(f"level: {found.level}")
