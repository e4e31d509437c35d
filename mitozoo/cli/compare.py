"""`mitozoo compare`: the paired difference of two runs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from mitozoo.cli.options import json_option, runs_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("first")
@click.argument("second")
@runs_option
@json_option
def compare(*, first: str, second: str, out: Path, as_json: bool) -> None:
    """Compare two runs on the cells that both tested: FIRST minus SECOND, with 95 % intervals over groups."""
    from mitozoo.cli.tables import print_json, print_table
    from mitozoo.results.compare import compare as run
    from mitozoo.results.run_folder import find_run

    differences, basis = run(find_run(first, out), find_run(second, out))
    if as_json:
        found = {name: dataclasses.asdict(difference) for name, difference in differences.items()}
        print_json({"basis": basis, "differences": found})
        return
    rows = [
        (name.replace("_", " "), _signed(d.value), f"[{_signed(d.ci_low)}, {_signed(d.ci_high)}]", _chance(d.p))
        for name, d in differences.items()
        if d.ci_low is not None and d.p is not None
    ]
    print_table(("METRIC", "DIFFERENCE", "95 % INTERVAL", "P"), rows)
    click.echo(
        f"{basis['first']} ({basis['protocols'][0]}) minus {basis['second']} ({basis['protocols'][1]}): "
        f"{basis['folds']} folds, {basis['seeds']} seeds, label fraction {basis['fraction']:g}; p is for each metric "
        "alone, not corrected for their number",
        err=True,
    )


def _chance(p: float) -> str:
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
