"""The figures of a section: learning curves, ROC, precision-recall, calibration, domains, differences and cost."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.report.curves import GRID, mean_precision, mean_roc, reliability
from mitozoo.report.figure import Figure
from mitozoo.report.svg import COLOURS, Drawing, room_for, shortened, style, ticks
from mitozoo.results.forest import branches, chance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mitozoo.report.figure import Rows
    from mitozoo.report.gathering import Run, Section

LINES = 8  # more in one chart cannot be told apart; the data hold all
WIDTH, HEIGHT = 460.0, 330.0
MOST_TICKS = 7
NARROW = 34  # characters of a name beside a row
DARKEST, BRIGHTEST = (8, 48, 107), (239, 246, 253)  # of a heat map
FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def section_figures(section: Section, prefix: str, comparison: dict[str, Any] | None, metric: str) -> list[Figure]:
    """Return the figures that have something to show.

    Args:
        section: its runs.
        prefix: leads all ids.
        comparison: of its runs, see `compare_on_same_cells`; None where there is none.
        metric: that the comparison went by.
    """
    made = [
        learning_curve(section, prefix),
        _averaged(section, prefix, "roc", "ROC curve", "false-positive rate", "sensitivity", mean_roc),
        _averaged(section, prefix, "precision-recall", "Precision and recall", "recall", "precision", mean_precision),
        calibration(section, prefix),
        *domain_maps(section, prefix),
        forest(comparison, metric, prefix) if comparison else None,
        pareto(section, prefix),
    ]
    return [figure for figure in made if figure is not None]


def learning_curve(section: Section, prefix: str) -> Figure | None:
    """Return AUROC against the share of labels, with 95 % intervals; None where all runs have one share only."""
    rows: Rows = [
        [run.name, float(entry["fraction"]), *(entry["metrics"]["auroc"][key] for key in ("mean", "ci_low", "ci_high"))]
        for run in section.runs
        for entry in reversed(run.document["summary"])
    ]
    shares = sorted({float(row[1]) for row in rows if row[1] is not None})
    if len(shares) < 2:
        return None
    values = [float(value) for row in rows for value in row[2:] if value is not None]
    low, high = min([0.5, *values]), max([0.6, *values])
    drawing = Drawing(WIDTH, HEIGHT, (shares[0], shares[-1]), (low, high), logarithmic=True)
    drawing.axes("share of the training labels", "AUROC", shares, ticks(low, high))
    shown = section.best(LINES)
    for series, run in enumerate(shown):
        points = [row for row in rows if row[0] == run.name and row[2] is not None]
        drawing.line([(float(row[1] or 0), float(row[2] or 0)) for row in points], series)
        for _, share, mean, below, above in points:
            drawing.point(float(share or 0), float(mean or 0), style(series)[0], radius=3.5)
            if below is not None and above is not None:
                drawing.whisker(float(share or 0), float(below), float(above), series)
    drawing.legend([run.name for run in shown])
    title = "Learning curve"
    note = "Mean AUROC over folds and seeds by the share of labels, bars are 95 % intervals over groups." + _left(
        section
    )
    headers = ["run", "share of labels", "AUROC", "low", "high"]
    return Figure("learning-curve", title, note, drawing.finished(f"{prefix}-learning", title, note), headers, rows)


def calibration(section: Section, prefix: str) -> Figure | None:
    """Return observed shares of positives against mean scores, in bins of equal mass."""
    bins = {run.name: found for run in section.runs if (found := reliability(run))}
    if not bins:
        return None
    drawing = Drawing(WIDTH, HEIGHT, (0, 1), (0, 1))
    drawing.axes("mean score of a bin", "share of positives", FIFTHS, FIFTHS)
    drawing.stroke([(drawing.at_x(0), drawing.at_y(0)), (drawing.at_x(1), drawing.at_y(1))], "currentColor", dash="3 3")
    shown = [run.name for run in section.best(LINES) if run.name in bins]
    for series, name in enumerate(shown):
        drawing.line([(score, share) for score, share, _ in bins[name]], series)
        for score, share, _ in bins[name]:
            drawing.point(score, share, style(series)[0], radius=3)
    drawing.legend(shown)
    title = "Calibration"
    note = (
        "Scores of all fits in ten bins of about equal mass, as they are, before any temperature; on the dashed line a "
        "score is what it says. Cells of one slide are alike, so a bin's share is less certain than its size suggests."
        + _left(section)
    )
    rows: Rows = [[name, score, share, count] for name, found in bins.items() for score, share, count in found]
    headers = ["run", "mean score", "share of positives", "scores"]
    return Figure("calibration", title, note, drawing.finished(f"{prefix}-calibration", title, note), headers, rows)


def domain_maps(section: Section, prefix: str) -> list[Figure]:
    """Return a heat map of AUROC for each domain: runs, or what they were trained on, by where they are tested."""
    found: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
    for run in section.runs:
        for entry in run.document["by_domain"]:
            trained = f"{run.name}, trained on {entry['trained_on']}" if entry["trained_on"] else run.name
            found.setdefault(entry["domain"], {}).setdefault(trained, {})[entry["value"]] = entry
    return [_domain_map(domain, lines, f"{prefix}-domain-{n}", n) for n, (domain, lines) in enumerate(found.items())]


def _domain_map(domain: str, lines: dict[str, dict[str, dict[str, Any]]], name: str, number: int) -> Figure:
    values = sorted({value for line in lines.values() for value in line})
    left = min(300.0, room_for([shortened(line, NARROW) for line in lines]))
    side, tall = 78.0, 30.0
    top = 18.0 + room_for([shortened(value, 22) for value in values]) * 0.62
    drawing = Drawing(left + side * len(values) + 60, top + tall * len(lines) + 8, (0, 1), (0, 1))
    for column, value in enumerate(values):
        x = left + side * column + 10
        drawing.text(x, top - 8, shortened(value, 22), further=f' transform="rotate(-35 {x:.1f} {top - 8:.1f})"')
    for row, (line, entries) in enumerate(lines.items()):
        y = top + tall * row
        drawing.text(left - 6, y + 19, shortened(line, NARROW), anchor="end")
        for column, value in enumerate(values):
            mean = entries[value]["metrics"]["auroc"]["mean"] if value in entries else None
            colour, ink = _heat(mean)
            drawing.box(left + side * column, y, side - 2, tall - 2, colour)
            words = "-" if mean is None else f"{mean:.3f}"
            drawing.text(left + side * column + side / 2, y + 19, words, anchor="middle", colour=ink)
    title = f"AUROC by {domain}"
    note = "Each field is the AUROC on the test cells of one column's domain; the darker, the higher, from 0.5 to 1."
    headers = ["run", domain, "groups", "cells", "positive cells", "AUROC", "low", "high"]
    rows: Rows = [
        [line, value, entry["groups"], entry["cells"], entry["positive_cells"],
         *(entry["metrics"]["auroc"][key] for key in ("mean", "ci_low", "ci_high"))]
        for line, entries in lines.items() for value, entry in entries.items()
    ]  # fmt: skip
    return Figure(f"domain-{number}", title, note, drawing.finished(name, title, note), headers, rows)


def forest(comparison: dict[str, Any], metric: str, prefix: str) -> Figure | None:
    """Return the paired differences of all runs with their intervals; None where none has one."""
    found = branches(comparison, metric)
    if not found:
        return None
    left = min(330.0, room_for([shortened(branch.name, NARROW + 12) for branch in found]))
    low, high = min(0.0, *(branch.low for branch in found)), max(0.0, *(branch.high for branch in found))
    drawing = Drawing(left + 400, 26.0 * len(found) + 56, (low, high), (0, len(found)), left=left, right=96)
    drawing.axes(f"difference in {metric.replace('_', ' ')}, first minus second", "", ticks(low, high, 4), ())
    drawing.stroke([(drawing.at_x(0), drawing.top), (drawing.at_x(0), drawing.height - drawing.bottom)], "currentColor")
    for row, branch in enumerate(found):
        y = len(found) - row - 0.5
        ends = [(drawing.at_x(branch.low), drawing.at_y(y)), (drawing.at_x(branch.high), drawing.at_y(y))]
        drawing.stroke(ends, COLOURS[0], width=2)
        drawing.point(branch.value, y, COLOURS[0])
        drawing.text(left - 8, drawing.at_y(y) + 4, shortened(branch.name, NARROW + 12), anchor="end")
        drawing.text(drawing.width - 90, drawing.at_y(y) + 4, chance(branch.p))
    basis = comparison["basis"]
    title = "Paired differences"
    note = (
        f"Differences in {metric.replace('_', ' ')} on the same cells with 95 % intervals over {basis['n_groups']} "
        f"groups ({basis['method']}, {basis['replicates']:,} replicates); p corrected for "
        f"{len(comparison['pairs'])} pairs (Holm)."
    )
    rows: Rows = [[branch.name, branch.value, branch.low, branch.high, branch.p] for branch in found]
    headers = ["first - second", "difference", "low", "high", "p (Holm)"]
    return Figure("differences", title, note, drawing.finished(f"{prefix}-forest", title, note), headers, rows)


def pareto(section: Section, prefix: str) -> Figure | None:
    """Return AUROC against GFLOPs a patch, else against parameters; None for fewer than two runs that tell either."""
    costs = [(run, run.cost.get("gflops"), run.document["model"].get("parameters") or run.cost.get("parameters"))
             for run in section.runs if run.metric("auroc")["mean"] is not None]  # fmt: skip
    by_work = [(run, float(gflops)) for run, gflops, _ in costs if gflops]
    by_size = [(run, parameters / 1e6) for run, _, parameters in costs if parameters]
    priced, axis = (by_work, "GFLOPs a patch") if len(by_work) >= len(by_size) else (by_size, "million parameters")
    if len(priced) < 2:
        return None
    priced.sort(key=lambda each: (each[1], -each[0].metric("auroc")["mean"]))
    scores = [run.metric("auroc")["mean"] for run, _ in priced]
    ahead = [score > max(scores[:place], default=0) for place, score in enumerate(scores)]
    x, y = (priced[0][1] / 1.3, priced[-1][1] * 1.3), (min(scores) - 0.02, min(1.0, max(scores) + 0.02))
    drawing = Drawing(WIDTH + 120, HEIGHT, x, y, right=130, logarithmic=True)
    drawing.axes(axis, "AUROC", _decades(x), ticks(*y))
    front = [(cost, score) for (_, cost), score, first in zip(priced, scores, ahead, strict=True) if first]
    steps = [point for (a, b), (c, d) in itertools.pairwise(front) for point in ((a, b), (c, b), (c, d))] or front
    drawing.line(steps, 0)
    for (run, cost), score, first in zip(priced, scores, ahead, strict=True):
        drawing.point(cost, score, COLOURS[0] if first else COLOURS[1])
        if first or len(priced) <= LINES:
            drawing.text(drawing.at_x(cost) + 7, drawing.at_y(score) - 5, shortened(run.name, 24))
    title = "Score against compute"
    note = "On the line lies each run that no cheaper one reaches; differences along it may be within their intervals."
    rows: Rows = [
        [run.name, cost, score, "yes" if first else "no"]
        for (run, cost), score, first in zip(priced, scores, ahead, strict=True)
    ]
    headers = ["run", axis, "AUROC", "none cheaper is as good"]
    return Figure("compute", title, note, drawing.finished(f"{prefix}-pareto", title, note), headers, rows)


def mean_ranks_figure(across: dict[str, Any], metric: str) -> Figure:
    """Return the critical-difference diagram of runs over several datasets."""
    order = sorted(range(len(across["models"])), key=across["ranks"].__getitem__)
    cliques = across["cliques"]
    drawing = Drawing(
        WIDTH + 120, 80.0 + 12 * len(cliques) + 22 * len(order), (1, len(order)), (0, 1), left=24, right=200
    )
    for tick in range(1, len(order) + 1):
        drawing.text(drawing.at_x(tick), 16, str(tick), anchor="middle")
    drawing.stroke([(drawing.at_x(1), 24), (drawing.at_x(len(order)), 24)], "currentColor")
    start = 44.0 + 12 * len(cliques)
    for row, model in enumerate(order):
        x, y = drawing.at_x(across["ranks"][model]), start + 22 * row
        drawing.stroke([(x, 24), (x, y)], "currentColor")
        drawing.text(x + 5, y + 4, f"{shortened(across['models'][model], 24)} ({across['ranks'][model]:.2f})")
    for row, clique in enumerate(cliques):
        ends = sorted(drawing.at_x(across["ranks"][model]) for model in clique)
        drawing.stroke([(ends[0], 34 + 12 * row), (ends[-1], 34 + 12 * row)], COLOURS[1], width=4)
    title = "Mean ranks over datasets"
    note = (
        f"Mean rank by {metric.replace('_', ' ')} over {across['datasets']} datasets that share no image; runs under "
        f"one bar lie closer than the critical difference {across['critical_difference']:.2f} (Nemenyi, 5 %); Friedman "
        f"{chance(across['p'])}."
    )
    rows: Rows = [[across["models"][model], float(across["ranks"][model])] for model in order]
    return Figure("mean-ranks", title, note, drawing.finished("mean-ranks", title, note), ["run", "mean rank"], rows)


def _averaged(
    section: Section, prefix: str, name: str, title: str, x_name: str, y_name: str, curve: Callable[[Run], Any]
) -> Figure | None:
    curves = {run.name: values for run in section.runs if not np.isnan(values := curve(run)).any()}
    if not curves:
        return None
    drawing = Drawing(WIDTH, HEIGHT, (0, 1), (0, 1))
    drawing.axes(x_name, y_name, FIFTHS, FIFTHS)
    if name == "roc":
        drawing.stroke(
            [(drawing.at_x(0), drawing.at_y(0)), (drawing.at_x(1), drawing.at_y(1))], "currentColor", dash="3 3"
        )
    shown = [run.name for run in section.best(LINES) if run.name in curves]
    for series, run_name in enumerate(shown):
        drawing.line(list(zip(GRID.tolist(), curves[run_name].tolist(), strict=True)), series)
    drawing.legend(shown)
    note = f"Mean {y_name} over all fits of the largest label fraction, at each {x_name}." + _left(section)
    rows: Rows = [
        [float(at), *(float(values[place]) for values in curves.values())] for place, at in enumerate(GRID.tolist())
    ]
    return Figure(
        name, title, note, drawing.finished(f"{prefix}-{name}", title, note), [x_name, *curves], rows, shown=10
    )


def _left(section: Section) -> str:
    more = len(section.runs) - LINES
    return f" The chart shows the {LINES} runs of the highest AUROC; the data hold all." if more > 0 else ""


def _heat(value: float | None) -> tuple[str, str]:
    """Return the colour of a field and of the ink on it."""
    if value is None:
        return "#dddddd", "#000000"
    depth = min(1.0, max(0.0, (value - 0.5) / 0.5))
    red, green, blue = (round(low + (high - low) * depth) for low, high in zip(BRIGHTEST, DARKEST, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}", "#ffffff" if depth > 0.5 else "#000000"


def _decades(ends: tuple[float, float]) -> Sequence[float]:
    """Return round numbers between two ends, for a logarithmic axis."""
    inside = [
        [tick for power in range(-6, 7) for digit in digits if ends[0] <= (tick := digit * 10.0**power) <= ends[1]]
        for digits in ((1, 2, 5), (1,))
    ]
    return next((found for found in inside if 0 < len(found) <= MOST_TICKS), [*ends])
