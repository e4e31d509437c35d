"""The figures of a section: learning curves, ROC, precision-recall, calibration, domains, differences and cost."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.report.curves import GRID, mean_precision, mean_roc, reliability
from mitozoo.report.differences import forest
from mitozoo.report.domain_map import domain_maps
from mitozoo.report.figure import Figure
from mitozoo.report.svg import COLOURS, Drawing, shortened, style, ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mitozoo.report.figure import Rows
    from mitozoo.report.gathering import Run, Section

LINES = 8  # more in one chart cannot be told apart; the data hold all
WIDTH, HEIGHT = 460.0, 330.0
MOST_TICKS = 7
APART_PX = 3.0  # between the intervals of neighbouring runs
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
    drawing = Drawing(WIDTH, HEIGHT, (shares[0] / 1.1, shares[-1] * 1.1), (low, high), logarithmic=True)
    drawing.axes("share of the training labels", "AUROC", shares, ticks(low, high))
    shown = section.best(LINES)
    for series, run in enumerate(shown):
        points = [row for row in rows if row[0] == run.name and row[2] is not None]
        drawing.line([(float(row[1] or 0), float(row[2] or 0)) for row in points], series)
        for _, share, mean, below, above in points:
            drawing.point(float(share or 0), float(mean or 0), style(series)[0], radius=3.5)
            if below is not None and above is not None:
                aside = APART_PX * (series - (len(shown) - 1) / 2)
                drawing.whisker(float(share or 0), float(below), float(above), series, aside)
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


def _decades(ends: tuple[float, float]) -> Sequence[float]:
    """Return round numbers between two ends, for a logarithmic axis."""
    inside = [
        [tick for power in range(-6, 7) for digit in digits if ends[0] <= (tick := digit * 10.0**power) <= ends[1]]
        for digits in ((1, 2, 5), (1,))
    ]
    return next((found for found in inside if 0 < len(found) <= MOST_TICKS), [*ends])
