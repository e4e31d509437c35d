"""`mitozoo check`: does a model or a dataset keep the contract, and is it what its record declares?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mitozoo.cli.findings import show_report
from mitozoo.cli.options import LocalPath, json_option, log_options, weight_options
from mitozoo.errors import MitozooError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.engine.findings import Report

KINDS = ("model", "dataset")


@click.command()
@click.argument("name")
@click.option("--offline", is_flag=True, help="Fetch nothing: check with the weights that are here.")
@weight_options
@click.option("--data", type=LocalPath(), metavar="DIR", help="The folder of the dataset's files.")
@click.option("--kind", type=click.Choice(KINDS), help="Where both a model and a dataset bear the name.")
@log_options
@json_option
def check(
    *, name: str, offline: bool, weights: Path | None, data: Path | None, kind: str | None, as_json: bool
) -> None:
    """Check the model or dataset NAME: its plugin, its record, and what it is made of.

    Of a model, its preprocessing and its network, on the CPU. Of a dataset, its label files and the headers of its
    images, as far as they are on this machine; nothing is fetched. NAME may be the path of a table of your own cells.

    Exit code 1 where a check fails, 2 where there is no such name. Warnings fail nothing.
    """
    kind = _kind(name, kind)  # a wrong name is told before anything that takes long to import
    unfit = "--data" if kind == "model" and data else "--weights" if kind == "dataset" and weights else ""
    if unfit:
        raise MitozooError(f"'{name}' is a {kind}, and {unfit} is not for a {kind}")
    show_report(
        _check_dataset(name, data) if kind == "dataset" else _check_model(name, weights, offline), as_json=as_json
    )


def _kind(name: str, asked: str | None) -> str:
    """Return whether the name is that of a model or of a dataset."""
    from mitozoo.engine.find_dataset import names_a_table
    from mitozoo.models.on_the_spot import is_on_the_spot
    from mitozoo.plugins.registry import load_registry

    if names_a_table(name):
        return "dataset"
    if is_on_the_spot(name):
        return "model"
    registry = load_registry()
    bearers = {"model": registry.find_model, "dataset": registry.find_dataset}
    found = [kind for kind, find in bearers.items() if asked in (None, kind) and find(name)]
    if len(found) > 1:
        raise MitozooError(
            f"'{name}' is a model and a dataset", hint=f"Say which: mitozoo check {name} --kind model or --kind dataset"
        )
    if not found:
        raise registry.unknown(name, *([asked] if asked else KINDS))
    return found[0]


def _check_dataset(name: str, data: Path | None) -> Report:
    from mitozoo.testing import check_dataset

    return check_dataset(name, data)


def _check_model(name: str, weights: Path | None, offline: bool) -> Report:
    if offline:
        import os

        os.environ["HF_HUB_OFFLINE"] = "1"  # read by the hub's client when it is imported

    from mitozoo.testing import check_model

    return check_model(name, weights=weights)
