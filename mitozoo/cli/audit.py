"""`audit NAME`: what could make numbers on a dataset untrue, with counts, examples and a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mitozoo.cli.findings import A_CHECK_FAILED
from mitozoo.cli.options import LocalPath, group_option, json_option, log_options

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.engine.dataset_audit import DatasetAudit

SHOWN = 2  # examples in the table


@click.command()
@click.argument("name")
@click.option("--data", type=LocalPath(), metavar="DIR", help="The folder of the dataset's files.")
@click.option("--against", default="", metavar="NAME", help="Another dataset: what do both hold?")
@click.option("--against-data", type=LocalPath(), metavar="DIR", help="The folder of its files.")
@click.option("--split", metavar="RECIPE", help="Other folds than the official ones, else 5 grouped ones; as for eval.")
@click.option("--domain", default="", metavar="NAME", help="The domain that such a split goes by.")
@group_option
@click.option(
    "--negatives", type=click.Choice(["hard", "other", "all"]), default="hard", show_default=True,
    help="Which cells the positive class is told from.",
)  # fmt: skip
@click.option("--crop-um", type=float, metavar="UM", help="Another window than the protocols' own.")
@click.option(
    "--mpp", type=float, metavar="UM", help="Microns per pixel of every slide, whatever its file or the dataset states."
)
@click.option(
    "--picture", type=LocalPath(dir_okay=False), metavar="FILE.png",
    help="Write a contact sheet of the examples there; it shows the dataset's own pixels.",
)  # fmt: skip
@log_options
@json_option
def audit(*, name: str, picture: Path | None, as_json: bool, **asked: Any) -> None:
    """Look for leaks, duplicates, conflicting labels and padding in dataset NAME; its images need not be there.

    NAME may be the path of a table of your own cells. Exit code 1 where something leaks.
    """
    from mitozoo.engine.find_dataset import find_dataset

    for one in filter(None, (name, asked["against"])):
        find_dataset(one)  # before anything that takes long to import

    from mitozoo.cli.progress import Bars
    from mitozoo.engine.audit import audit_dataset
    from mitozoo.engine.dataset_audit import AuditRequest

    bars = Bars()
    done = audit_dataset(AuditRequest(dataset=name, **asked), bars)
    if as_json:
        from mitozoo.cli.tables import print_json

        print_json(done.to_json())
    else:
        _show(done)
    if picture is not None:
        bars.note(f"{done.draw(picture)} crops in {picture}")
    if done.leaks:
        click.get_current_context().exit(A_CHECK_FAILED)


def _show(done: DatasetAudit) -> None:
    from mitozoo.cli.tables import print_table

    facts, names = done.facts, done.names
    against = f", against {facts['against']['dataset']}" if "against" in facts else ""
    click.echo(
        f"{facts['dataset']}: {facts['cells']:,} cells in {facts['groups']:,} {facts['group_level']}s, "
        f"{facts['split'] or 'no split'}, {facts['crops_looked_at']:,} crops looked at{against}",
        err=True,
    )
    rows = [
        (
            "" if one.count is None else f"{one.count:,}",
            one.unit,
            one.kind,
            "" if one.severity == "none" else one.severity,
            "; ".join(" ~ ".join(names[row] for row in example) for example in one.examples[:SHOWN]),
        )
        for one in done.findings
    ]
    print_table(("COUNT", "OF", "FINDING", "SEVERITY", "FOR EXAMPLE"), rows, err=True)
    told: dict[tuple[str, str], list[str]] = {}
    for one in done.findings:
        if one.severity != "none":
            told.setdefault((one.meaning, one.remedy), []).append(one.kind)
    for (meaning, remedy), kinds in told.items():
        click.echo(f"\n{', '.join(kinds)}: {meaning.rstrip('.')}.\n  do: {remedy}", err=True)
