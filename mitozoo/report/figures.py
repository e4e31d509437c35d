"""The figures of a section: learning curves, ROC, precision-recall and calibration here, and those of other modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.report.curves import GRID, mean_precision, mean_roc, reliability
from mitozoo.report.differences import forest
from mitozoo.report.domain_map import domain_maps
from mitozoo.report.figure import Figure
from mitozoo.report.score_against_compute import pareto
from mitozoo.report.svg import HEIGHT, LINES, WIDTH, Drawing, style, ticks

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitozoo.report.figure import Rows
    from mitozoo.report.gathering import Run, Section

APART_PX = 3.0  # between the intervals of neighbouring runs
FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def section_figures(section: Section, prefix: str, comparison: dict[str, Any] | None, metric: str) -> list[Figure]:
    """Return the figures that have something to show.

    Args:
        section: its runs.
        prefix: leads all ids.
        comparison: of its runs, see `compared`; None where there is none.
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
