"""How runs differ: the forest of paired differences, and mean ranks over datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitozoo.report.figure import Figure
from mitozoo.report.svg import COLOURS, Drawing, room_for, shortened, ticks
from mitozoo.results.forest import branches, chance

if TYPE_CHECKING:
    from mitozoo.report.figure import Rows

LONGEST = 46  # characters of the names of a pair
WIDTH = 580.0


def forest(comparison: dict[str, Any], metric: str, prefix: str) -> Figure | None:
    """Return the paired differences of all runs with their intervals; None where none has one."""
    found = branches(comparison, metric)
    if not found:
        return None
    left = min(330.0, room_for([shortened(branch.name, LONGEST) for branch in found]))
    low, high = min(0.0, *(branch.low for branch in found)), max(0.0, *(branch.high for branch in found))
    drawing = Drawing(left + 400, 26.0 * len(found) + 56, (low, high), (0, len(found)), left=left, right=96)
    drawing.axes(f"difference in {metric.replace('_', ' ')}, first minus second", "", ticks(low, high, 4), ())
    drawing.stroke([(drawing.at_x(0), drawing.top), (drawing.at_x(0), drawing.height - drawing.bottom)], "currentColor")
    for row, branch in enumerate(found):
        y = len(found) - row - 0.5
        ends = [(drawing.at_x(branch.low), drawing.at_y(y)), (drawing.at_x(branch.high), drawing.at_y(y))]
        drawing.stroke(ends, COLOURS[0], width=2)
        drawing.point(branch.value, y, COLOURS[0])
        drawing.text(left - 8, drawing.at_y(y) + 4, shortened(branch.name, LONGEST), anchor="end")
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


def mean_ranks_figure(across: dict[str, Any], metric: str) -> Figure:
    """Return the critical-difference diagram of runs over several datasets."""
    order = sorted(range(len(across["models"])), key=across["ranks"].__getitem__)
    cliques = across["cliques"]
    drawing = Drawing(WIDTH, 80.0 + 12 * len(cliques) + 22 * len(order), (1, len(order)), (0, 1), left=24, right=200)
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
