"""`mitozoo compare`: paired differences of runs, and how sure their ranks are."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import click

from mitozoo.cli.options import LocalPath, json_option, runs_option

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN [RUN...]")
@click.option("--metric", default="auroc", show_default=True, metavar="NAME", help="What ranks and forests go by.")
@click.option(
    "--figure", type=LocalPath(), metavar="FILE",
    help="Draw the forest into a .svg or .png file, by matplotlib: pip install 'mitozoo[figures]'.",
)  # fmt: skip
@runs_option
@json_option
def compare(*, runs: Sequence[str], metric: str, figure: Path | None, out: Path | str, as_json: bool) -> None:
    """Compare runs on the cells that all of them tested, with 95 % intervals over groups.

    Of two runs every metric is shown, first minus second; of more, each pair by one metric, p corrected for the number
    of pairs (Holm), and the range of ranks that each run may have. Runs of at least 6 datasets that share no images are
    compared by mean ranks too.
    """
    from mitozoo.results.forest import draw_picture, require_picture

    if figure is not None:
        require_picture(figure)
    from mitozoo.results.compare import compare as run
    from mitozoo.results.find_run import find_run

    compared = run([find_run(name, out) for name in runs], metric=metric)
    if figure is not None:
        draw_picture(compared, figure)
    if as_json:
        from mitozoo.cli.tables import print_json

        print_json(compared)
        return
    for comparison in compared["comparisons"]:
        _show(comparison, metric)
    if compared["across"] is not None:
        _show_across(compared["across"])


def _show(comparison: dict[str, Any], metric: str) -> None:
    """Print one dataset's comparison: numbers on stdout, what they rest on on stderr."""
    from mitozoo.cli.tables import print_table
    from mitozoo.results.forest import branches, chance, forest_lines

    basis, runs = comparison["basis"], comparison["runs"]
    if len(runs) == 2:
        rows = [
            (name.replace("_", " "), _signed(each["value"]), f"[{_signed(each['ci_low'])}, {_signed(each['ci_high'])}]",
             chance(each["p"]).removeprefix("p "))
            for name, each in comparison["pairs"][0]["metrics"].items()
            if each["p"] is not None
        ]  # fmt: skip
        print_table(("METRIC", "DIFFERENCE", "95 % INTERVAL", "P"), rows)
        about = f"{runs[0]['name']} minus {runs[1]['name']}; p is for each metric alone, not corrected for their number"
    else:
        _show_runs(comparison, metric)
        for line in forest_lines(branches(comparison, metric), shutil.get_terminal_size().columns):
            click.echo(line)
        about = f"differences in {metric.replace('_', ' ')}, p corrected for {len(comparison['pairs'])} pairs (Holm)"
    click.echo(
        f"{basis['dataset']}: {about}; {basis['folds']} folds, {basis['seeds']} seeds, label fraction "
        f"{basis['fraction']:g}, {basis['n_groups']} groups ({basis['effective_groups']:.1f} effective), "
        f"{basis['method']}",
        err=True,
    )
    if comparison["no_ranks"]:
        click.echo(comparison["no_ranks"], err=True)


def _show_runs(comparison: dict[str, Any], metric: str) -> None:
    """Print each run's mean; where they may be ranked, best first, with the ranks that it may have."""
    from mitozoo.cli.tables import print_table
    from mitozoo.statistics.metrics import metric_direction

    runs, ranks = comparison["runs"], comparison["ranks"]
    order = list(range(len(runs)))
    if ranks:
        sign = -1 if metric_direction(metric) == "higher" else 1
        order.sort(key=lambda place: sign * (runs[place]["means"][metric] or 0))
    rows = []
    for place in order:
        mean = runs[place]["means"][metric]
        told = ("", "")
        if ranks:
            best = ranks[place]["best"]
            told = (_range(ranks[place]), "-" if best is None else f"{best:.2f}")
        rows.append((runs[place]["name"], "-" if mean is None else f"{mean:.3f}", *told))
    print_table(("RUN", metric.upper().replace("_", " "), "RANK", "BEST IN"), rows)
    click.echo()


def _show_across(across: dict[str, Any]) -> None:
    from mitozoo.cli.tables import print_table
    from mitozoo.results.forest import chance

    if "refused" in across:
        click.echo(f"no mean ranks over datasets: {across['refused']}", err=True)
        return
    order = sorted(range(len(across["models"])), key=across["ranks"].__getitem__)
    print_table(("RUN", "MEAN RANK"), [(across["models"][m], f"{across['ranks'][m]:.2f}") for m in order])
    for clique in across["cliques"]:
        click.echo(f"not told apart: {', '.join(across['models'][model] for model in clique)}")
    click.echo(
        f"mean ranks over {across['datasets']} datasets; Friedman {chance(across['p'])}; ranks closer than "
        f"{across['critical_difference']:.2f} are not told apart (Nemenyi, 5 %)",
        err=True,
    )


def _range(standing: dict[str, Any]) -> str:
    low, high = standing["rank_low"], standing["rank_high"]
    return str(low) if low == high else f"{low} to {high}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
