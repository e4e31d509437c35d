"""`mitozoo eval`: from names to a number that can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mitozoo.cli.options import (
    MODEL_HELP,
    SEVERAL_HELP,
    LocalPath,
    axis_options,
    dataset_options,
    device_options,
    group_option,
    json_option,
    log_options,
    names_of_models,
    runs_option,
    weight_options,
)
from mitozoo.errors import MitozooError, ProtocolError, printable

if TYPE_CHECKING:
    from mitozoo.cli.progress import Bars
    from mitozoo.engine.progress import Listener
    from mitozoo.results.result import Result

WIDTH_OF_A_COLUMN = 30  # where no terminal says how wide it is


@click.command(name="eval")
@click.option(
    "--model", "-m", "models", metavar="NAME,NAME", callback=names_of_models, help=f"{MODEL_HELP} {SEVERAL_HELP}"
)
@weight_options
@click.option(
    "--embeddings", type=LocalPath(), metavar="FILE",
    help="Embeddings of your own (.safetensors or .parquet with cell_id and vector) in place of a model.",
)  # fmt: skip
@dataset_options
@click.option(
    "--protocol", "-p", default="linear-probe", show_default=True, metavar="NAME", help="See mitozoo protocols."
)
@click.option("--fractions", default="1", show_default=True, metavar="F,F", help="Label budgets, such as 0.1,0.3,1.")
@click.option(
    "--fraction-of", type=click.Choice(["groups", "cells"]),
    help="Short for --set fraction_of=cells: fill a budget by cells, as papers do, in place of whole cases.",
)  # fmt: skip
@click.option("--seeds", type=int, default=1, show_default=True, metavar="N", help="How many seeds, from 0.")
@click.option("--folds", type=int, metavar="N", help="Only the first N outer folds; the result is marked so.")
@group_option
@click.option(
    "--controls", type=click.Choice(["auto", "labels", "full"]), default="auto", show_default=True,
    help="full: also controls that see the image, colours alone and the network untrained; auto: so on all of demo.",
)  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a parameter of the protocol.")
@axis_options
@device_options
@runs_option
@click.option(
    "--track", "trackers", multiple=True, metavar="NAME[:PLACE]",
    help="Also write the run up in a tracker that a plugin offers, such as mlflow, tensorboard or wandb.",
)  # fmt: skip
@log_options
@json_option
def evaluate(
    *,
    as_json: bool,
    trackers: tuple[str, ...],
    models: tuple[str, ...],
    settings: tuple[str, ...],
    fractions: str,
    fraction_of: str | None,
    **asked: Any,
) -> None:
    """Measure how well an encoder tells mitotic figures apart, and whether to trust the number.

    The result is kept in a run folder; the same command again computes only what is missing. Of several runs one that
    fails does not keep the others from being computed; then the exit code is 3.
    """
    from mitozoo.engine.find_dataset import require_known_names
    from mitozoo.engine.request import Request

    changed = dict(map(pair_of, settings)) | ({"fraction_of": fraction_of} if fraction_of else {})
    asked |= {"settings": changed, "fractions": _numbers("fractions", fractions)}
    crops = asked.pop("crop_um")
    runs = [asked | {"crop_um": crop} for crop in (_numbers("crop-um", crops) if crops else (None,))]
    if len(models) > 1 and asked["weights"] is not None:
        raise MitozooError("--weights are one model's, and --model names several", hint="Evaluate them one by one.")
    for run_asked in runs:
        for model in models or (None,):
            require_known_names(Request(model=model, **run_asked))  # before anything that takes long to import

    from mitozoo.cli.events import leave_with_failures
    from mitozoo.cli.progress import Bars
    from mitozoo.engine.several import evaluate_several

    failures: list[tuple[str, Exception]] = []
    listeners = _listeners(trackers)
    several: dict[str, Any] = {"progress": lambda: Bars(*listeners)}
    of = len(runs) * max(1, len(models))
    if of > 1:  # else the error speaks for itself
        several["on_failure"] = lambda name, error: failures.append((name, error))
    for run_asked in runs:
        for result in evaluate_several(models or (None,), **several, **run_asked):
            if as_json:
                from mitozoo.results.run_folder import dump

                click.echo(dump(result.document), nl=False)
            else:
                show(result, Bars())
    leave_with_failures(failures, of, "runs")


def _listeners(trackers: tuple[str, ...]) -> tuple[Listener, ...]:
    """Return who hears of each run beside the person at the screen."""
    if not trackers:
        return ()
    from mitozoo.cli.progress import Bars
    from mitozoo.engine.tracking import Tracking

    return (Tracking(trackers, Bars().note),)


def show(result: Result, bars: Bars) -> None:
    """Print a result for people, on stderr."""
    from rich.table import Table
    from rich.text import Text

    bars.console.print(printable(result.title()), style="bold", markup=False, soft_wrap=True)
    for title, headers, rows in (("", *result.table()), *result.tables()):
        table = Table(*headers, title=title or None, title_justify="left")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        bars.console.print(table, width=None if bars.console.is_terminal else WIDTH_OF_A_COLUMN * len(headers))
    for line in result.remarks():
        loud = line.startswith(("DOES NOT BEAT", "THIS SPLIT LEAKS"))
        bars.console.print(printable(line), style="bold red" if loud else None, markup=False, soft_wrap=True)
    bars.note(f"kept in {result.folder}; check it with: mitozoo verify {result.folder}")


def _numbers(what: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ProtocolError(f"{what} are '{text}'; they must be numbers with commas between, such as 0.1,1") from error


def pair_of(text: str) -> tuple[str, str]:
    """Return key and value of a `--set`."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ProtocolError(f"--set is '{text}'; it must be KEY=VALUE, such as window_um=64")
    return key.strip(), value.strip()
