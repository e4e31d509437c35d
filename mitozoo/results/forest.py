"""The forest of a comparison: each paired difference with its interval, as text or as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mitozoo import storage
from mitozoo.errors import MitozooError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

PICTURES = (".svg", ".png")
NARROWEST = 11  # characters of the plot, however small the terminal is


@dataclass(frozen=True)
class Branch:
    """One line of a forest: what differs, by how much, and how sure that is."""

    name: str
    value: float
    low: float
    high: float
    p: float


def branches(comparison: dict[str, Any], metric: str) -> list[Branch]:
    """Return the pairs of a comparison whose difference in a metric has an interval."""
    names = [run["name"] for run in comparison["runs"]]
    found = []
    for pair in comparison["pairs"]:
        each = pair["metrics"][metric]
        if each["ci_low"] is not None:
            name = f"{names[pair['first']]} - {names[pair['second']]}"
            found.append(Branch(name, each["value"], each["ci_low"], each["ci_high"], each["p_holm"]))
    return found


def forest_lines(forest: Sequence[Branch], width: int) -> list[str]:
    """Return the forest as text: '|' is no difference, 'o' the value; at most `width` characters where names allow."""
    if not forest:
        return []
    numbers = [f"{b.value:+.3f} [{b.low:+.3f}, {b.high:+.3f}]  {chance(b.p)}" for b in forest]
    name_width = max(len(branch.name) for branch in forest)
    plot_width = max(NARROWEST, width - name_width - max(map(len, numbers)) - 4)
    low, high = min(0.0, *(branch.low for branch in forest)), max(0.0, *(branch.high for branch in forest))
    span = (high - low) or 1.0

    def column(value: float) -> int:
        return round((value - low) / span * (plot_width - 1))

    lines = []
    for branch, text in zip(forest, numbers, strict=True):
        plot = [" "] * plot_width
        for place in range(column(branch.low), column(branch.high) + 1):
            plot[place] = "-"
        plot[column(0.0)] = "|"
        plot[column(branch.value)] = "o"
        lines.append(f"{branch.name:<{name_width}}  {''.join(plot)}  {text}")
    return lines


def chance(p: float) -> str:
    """Return a p-value as text."""
    return "p <0.0001" if p < 0.0001 else f"p {p:.4f}"


def require_picture(path: Path) -> None:
    """Raise `MitozooError` unless a picture can be written there: by its ending, and with matplotlib."""
    if path.suffix.lower() not in PICTURES:
        raise MitozooError(f"{path} must end in {' or '.join(PICTURES)}")
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError as error:
        raise MitozooError(
            "pictures are drawn by matplotlib, which is not installed", hint="pip install 'mitozoo[figures]'"
        ) from error


def draw_picture(compared: dict[str, Any], path: Path) -> None:
    """Write the forests of a comparison, and its critical-difference diagram where there is one, to an image file.

    Equal comparisons give equal files.
    """
    require_picture(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    metric, across = compared["metric"], compared["across"]
    forests = [(each["basis"]["dataset"], branches(each, metric)) for each in compared["comparisons"]]
    ranked = across is not None and "ranks" in across
    heights = [max(1, len(forest)) for _, forest in forests] + ([2 + len(across["models"])] if ranked else [])
    figure = Figure(figsize=(8, sum(0.35 * height + 0.9 for height in heights)), layout="constrained")
    places = figure.subplots(len(heights), 1, squeeze=False, height_ratios=[height + 2 for height in heights])[:, 0]
    for axes, (dataset, forest) in zip(places, forests, strict=False):
        _draw_forest(axes, forest, f"{metric.replace('_', ' ')} on {dataset}: first minus second")
    if ranked:
        _draw_ranks(places[-1], across)
    with mpl.rc_context({"svg.hashsalt": "mitozoo"}), storage.write_whole(path) as unfinished:
        figure.savefig(unfinished, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else {})


def _draw_forest(axes: Axes, forest: Sequence[Branch], title: str) -> None:
    rows = range(len(forest))
    reach = [[b.value - b.low for b in forest], [b.high - b.value for b in forest]]
    axes.errorbar([b.value for b in forest], rows, xerr=reach, fmt="o", color="black", capsize=3, markersize=4)
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_yticks(rows, [f"{b.name}\n{chance(b.p)}" for b in forest], parse_math=False, fontsize=8)
    axes.set_ylim(len(forest) - 0.5, -0.5)
    axes.set_title(title, fontsize=9, parse_math=False)


def _draw_ranks(axes: Axes, across: dict[str, Any]) -> None:
    """Draw mean ranks on a line; models under one bar are not told apart."""
    order = sorted(range(len(across["models"])), key=across["ranks"].__getitem__)
    for row, model in enumerate(order):
        rank = across["ranks"][model]
        axes.plot([rank, rank], [0, -1 - row], color="black", linewidth=0.8)
        axes.text(rank, -1 - row, f" {across['models'][model]} ({rank:.2f})", fontsize=8, va="center", parse_math=False)
    for row, clique in enumerate(across["cliques"]):
        ends = [across["ranks"][clique[0]], across["ranks"][clique[-1]]]
        axes.plot(ends, [-0.3 - 0.2 * row] * 2, color="black", linewidth=3)
    axes.set_xlim(0.8, len(order) + 0.8)
    axes.set_ylim(-1.5 - len(order), 0.2)
    axes.set_yticks([])
    axes.xaxis.tick_top()
    axes.spines[["left", "right", "bottom"]].set_visible(False)
    said = f"mean rank over {across['datasets']} datasets; critical difference {across['critical_difference']:.2f}"
    axes.set_title(f"{said}; Friedman {chance(across['p'])}", fontsize=9)
