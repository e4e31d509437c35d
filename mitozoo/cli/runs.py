"""`mitozoo runs` and `mitozoo verify`: what was evaluated, and whether its numbers hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mitozoo.cli.options import json_option, runs_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@runs_option
@json_option
def runs(*, out: Path, as_json: bool) -> None:
    """List the runs in a folder."""
    from mitozoo.cli.tables import print_json, print_table
    from mitozoo.results.result import Result
    from mitozoo.results.run_folder import all_runs

    found = [Result.read(path) for path in all_runs(out)]
    if as_json:
        keep = ("run_id", "model", "dataset", "protocol", "precision", "marks", "summary")
        print_json([{"folder": str(r.folder)} | {key: r.document[key] for key in keep} for r in found])
        return
    if not found:
        click.echo(f"no runs in {out}", err=True)
        return
    lines = [
        (
            r.folder.name, r.document["model"]["name"], r.document["dataset"]["name"], r.document["protocol"]["name"],
            "" if (auroc := r.mean()) is None else f"{auroc:.3f}", ", ".join(r.document["marks"]),
        )
        for r in found
    ]  # fmt: skip
    print_table(("RUN", "MODEL", "DATASET", "PROTOCOL", "AUROC", "MARKS"), lines)


@click.command()
@click.argument("run")
@runs_option
@json_option
def verify(*, run: str, out: Path, as_json: bool) -> None:
    """Recompute a run's metrics, intervals, thresholds, splits and controls from its files.

    RUN is a run's folder, its result.json, or a unique prefix of its id. Exit code 1 where something differs.
    """
    from mitozoo.results.run_folder import find_run
    from mitozoo.results.verify import verify as check

    folder = find_run(run, out)
    checked = check(folder)
    if as_json:
        from mitozoo.cli.tables import print_json

        print_json({"run": str(folder), "verified": True, "checked": checked})
    else:
        for line in checked:
            click.echo(f"ok  {line}")
