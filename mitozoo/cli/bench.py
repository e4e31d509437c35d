"""`mitozoo bench`: how fast a model embeds on this machine, and where the time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mitozoo.cli.options import MODEL_HELP, LocalPath, device_options, json_option, log_options, weight_options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Console


@click.command()
@click.option("--model", "-m", required=True, metavar="NAME", help=MODEL_HELP)
@weight_options
@click.option("--dataset", "-d", default="demo", show_default=True, metavar="NAME", help="Whose patches.")
@click.option("--data", type=LocalPath(), metavar="DIR", help="The folder of the dataset's files.")
@click.option("--limit", type=int, default=256, show_default=True, metavar="N", help="Only so many cells.")
@device_options
@click.option("--against", type=LocalPath(), metavar="FILE", help="What --json printed earlier: show the ratios.")
@log_options
@json_option
def bench(*, against: Path | None, as_json: bool, **asked: Any) -> None:
    """Measure patches a second, memory and FLOP utilisation, in all and by stage.

    The whole extraction overlaps its stages; each stage is also clocked by itself. Nothing is kept.
    """
    from mitozoo.engine.find_dataset import require_known_names
    from mitozoo.engine.request import Request

    request = Request(**asked)
    require_known_names(request)  # before anything that takes long to import

    from mitozoo.cli.progress import Bars
    from mitozoo.engine.bench import bench as measure
    from mitozoo.engine.bench import compare, read_measurement

    then = None if against is None else read_measurement(against)
    bars = Bars()
    found = measure(request, progress=bars)
    if then is not None:
        found["against"] = compare(found, then)
    show(found, bars.console)
    if as_json:
        from mitozoo.cli.tables import print_json

        print_json(found)


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print a measurement for people."""
    from rich.table import Table

    from mitozoo.engine.bench import STAGES

    told = found.get("against")
    title = f"{found['model']} on {found['cells']} cells of {found['dataset']}, {found['device_name']}"
    table = Table("stage", "patches/s", "ms/patch", "of matrix peak", *(["times as fast"] if told else []), title=title)
    for name in (*STAGES, "whole"):
        rate, used = found["patches_per_second"][name], found["flop_utilisation"].get(name)
        table.add_row(
            name, f"{rate:,.1f}", f"{1000 / rate:.3f}", "" if used is None else f"{used:.1%}",
            *([f"{told['ratios'][name]:.2f}"] if told else []), style="bold" if name == "whole" else None,
        )  # fmt: skip
    console.print(table)
    for line in _remarks(found):
        console.print(line, markup=False, soft_wrap=True)


def _remarks(found: Mapping[str, Any]) -> list[str]:
    stated = f"{found['precision']}, batch {found['batch_size']}, threads: {found['threads']}"
    lines = [f"{stated}; matrix products reach {found['matrix_tflops']:,.3f} TFLOP/s"]
    if found["gflops"] is not None:
        lines[0] += f", a patch takes {found['gflops']:,.3f} GFLOP"
    on_device = found["peak_device_memory_mb"]
    lines.append(
        f"peak memory {found['peak_memory_mb']:,} MB" + (f", of the device {on_device:,} MB" if on_device else "")
    )
    if told := found.get("against"):
        memory = told["ratios"].get("peak_memory_mb")
        lines.append(f"against {told['created']}" + (f": {memory:.2f} times the memory" if memory else ""))
        if told["differs"]:
            lines.append(f"NOT THE SAME CONDITIONS: {', '.join(told['differs'])} differ")
    return lines
