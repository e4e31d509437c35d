"""`mitozoo runs` and `mitozoo verify`: what was evaluated, and whether its numbers hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mitozoo.cli.options import json_option, log_options, runs_option

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.results.result import Result

LISTED = ("run_id", "model", "dataset", "protocol", "precision", "contamination", "marks", "summary")


@click.command()
@runs_option
@json_option
def runs(*, out: Path | str, as_json: bool) -> None:
    """List the runs in a folder."""
    from mitozoo.cli.tables import print_json, print_table
    from mitozoo.errors import StorageError
    from mitozoo.results.find_run import all_runs
    from mitozoo.results.result import Result

    entries, lines = [], []
    for path in all_runs(out):
        try:
            run = Result.read(path)
            entries.append({"folder": str(path)} | {key: run.document[key] for key in LISTED})
            lines.append(_line(run))
        except (StorageError, KeyError, TypeError) as error:
            click.echo(
                f"left out {path}: {getattr(error, 'message', 'its result.json lacks what a run has')}", err=True
            )
    if as_json:
        print_json(entries)
    elif lines:
        print_table(("RUN", "MODEL", "DATASET", "PROTOCOL", "AUROC", "PRETRAINING", "MARKS"), lines)
    else:
        click.echo(f"no runs in {out}", err=True)


def _line(run: Result) -> tuple[str, ...]:
    document, auroc = run.document, run.mean()
    names = (document[part]["name"] for part in ("model", "dataset", "protocol"))
    return (
        run.folder.name,
        *names,
        "" if auroc is None else f"{auroc:.3f}",
        document["contamination"],
        ", ".join(document["marks"]),
    )


@click.command()
@click.argument("run")
@runs_option
@log_options
@json_option
def verify(*, run: str, out: Path | str, as_json: bool) -> None:
    """Recompute a run's metrics, intervals, thresholds, splits and controls from its files.

    RUN is a run's folder, its result.json, or a unique prefix of its id. Exit code 1 where something differs.
    """
    from mitozoo.engine.verification import verify_run
    from mitozoo.results.find_run import find_run

    folder = find_run(run, out)
    checked = verify_run(folder)
    if as_json:
        from mitozoo.cli.tables import print_json

        print_json({"run": str(folder), "verified": True, "checked": checked})
    else:
        for line in checked:
            click.echo(f"ok  {line}")
