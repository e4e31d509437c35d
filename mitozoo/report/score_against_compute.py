"""AUROC against what a patch costs, and the line of those runs that no cheaper one reaches."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from mitozoo.report.figure import Figure
from mitozoo.report.svg import CHARACTER, COLOURS, FONT, HEIGHT, LINES, WIDTH, Drawing, shortened, ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.report.figure import Rows
    from mitozoo.report.gathering import Section

MOST_TICKS = 7
LONGEST = 24  # characters of a run's name beside its point


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
    named: list[tuple[float, float]] = []
    for (run, cost), score, first in zip(priced, scores, ahead, strict=True):
        drawing.point(cost, score, COLOURS[0] if first else COLOURS[1])
        if first or len(priced) <= LINES:
            x_px, y_px = drawing.at_x(cost) + 7, drawing.at_y(score) - 5
            while any(abs(x_px - x) < LONGEST * CHARACTER and abs(y_px - y) < FONT for x, y in named):
                y_px += FONT
            named.append((x_px, y_px))
            drawing.text(x_px, y_px, shortened(run.name, LONGEST))
    title = "Score against compute"
    note = "On the line lies each run that no cheaper one reaches; differences along it may be within their intervals."
    rows: Rows = [
        [run.name, cost, score, "yes" if first else "no"]
        for (run, cost), score, first in zip(priced, scores, ahead, strict=True)
    ]
    headers = ["run", axis, "AUROC", "none cheaper is as good"]
    return Figure("compute", title, note, drawing.finished(f"{prefix}-pareto", title, note), headers, rows)


def _decades(ends: tuple[float, float]) -> Sequence[float]:
    """Return round numbers between two ends, for a logarithmic axis."""
    inside = [
        [tick for power in range(-6, 7) for digit in digits if ends[0] <= (tick := digit * 10.0**power) <= ends[1]]
        for digits in ((1, 2, 5), (1,))
    ]
    rounded = [float(f"{end:.2g}") for end in ends]
    return next((found for found in inside if 0 < len(found) <= MOST_TICKS), rounded)
