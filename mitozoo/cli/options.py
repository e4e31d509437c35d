"""The options that several commands share, so that each is spelt and explained once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def _together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


dataset_options = _together(
    click.option("--dataset", "-d", required=True, metavar="NAME", help="Which dataset; see mitozoo datasets."),
    click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="The folder of the dataset's files."),
    click.option(
        "--negatives", type=click.Choice(["hard", "other", "all"]), default="hard", show_default=True,
        help="Which cells the positive class is told from.",
    ),
    click.option("--mpp", type=float, metavar="UM", help="Microns per pixel of every slide, where files lack it."),
    click.option(
        "--limit", type=int, metavar="N", help="Only so many cells, in whole groups; the result is marked so."
    ),
    click.option(
        "--skip-unreadable", is_flag=True, help="Leave out cells whose slide cannot be read; the result records them."
    ),
)  # fmt: skip

device_options = _together(
    click.option("--device", default="auto", show_default=True, metavar="NAME", help="auto, cuda, mps or cpu."),
    click.option(
        "--precision", type=click.Choice(["auto", "fp32", "fp16", "bf16"]), default="auto", show_default=True,
        help="auto: the authors' own on CUDA, fp32 elsewhere.",
    ),
    click.option("--batch-size", type=int, metavar="N", help="Cells at once; the default depends on the device."),
)  # fmt: skip

runs_option = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, metavar="DIR",
    help="Folder of the runs.",
)  # fmt: skip

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
