"""Heat maps of AUROC: runs, or what they were trained on, by the domain that they are tested on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitozoo.report.figure import Figure
from mitozoo.report.svg import Drawing, room_for, shortened

if TYPE_CHECKING:
    from mitozoo.report.figure import Rows
    from mitozoo.report.gathering import Section

NARROW, SHORT = 34, 22  # characters of a name beside a row, and above a column
DARKEST, BRIGHTEST = (8, 48, 107), (239, 246, 253)
MIDDLE = 0.179  # luminance from which black reads as well as white


def domain_maps(section: Section, prefix: str) -> list[Figure]:
    """Return a heat map of AUROC for each domain: runs, or what they were trained on, by where they are tested."""
    found: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
    for run in section.runs:
        for entry in run.document["by_domain"]:
            origin = entry["trained_on"].removeprefix(f"{entry['domain']}=")
            line = f"trained on {origin}: {run.name}" if origin else run.name  # of a long line only the end is cut
            found.setdefault(entry["domain"], {}).setdefault(line, {})[entry["value"]] = entry
    return [_domain_map(domain, lines, f"{prefix}-domain-{n}", n) for n, (domain, lines) in enumerate(found.items())]


def _domain_map(domain: str, lines: dict[str, dict[str, dict[str, Any]]], name: str, number: int) -> Figure:
    values = sorted({value for line in lines.values() for value in line})
    left = min(300.0, room_for([shortened(line, NARROW) for line in lines]))
    side, tall = 78.0, 30.0
    top = 18.0 + room_for([shortened(value, SHORT) for value in values]) * 0.62
    drawing = Drawing(left + side * len(values) + 60, top + tall * len(lines) + 8, (0, 1), (0, 1))
    for column, value in enumerate(values):
        x = left + side * column + 10
        drawing.text(x, top - 8, shortened(value, SHORT), further=f' transform="rotate(-35 {x:.1f} {top - 8:.1f})"')
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


def _heat(value: float | None) -> tuple[str, str]:
    """Return the colour of a field and of the ink on it."""
    if value is None:
        return "#dddddd", "#000000"
    depth = min(1.0, max(0.0, (value - 0.5) / 0.5))
    red, green, blue = (round(low + (high - low) * depth) for low, high in zip(BRIGHTEST, DARKEST, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}", "#ffffff" if _luminance(red, green, blue) < MIDDLE else "#000000"


def _luminance(*channels: int) -> float:
    """Return a colour's relative luminance, 0 for black to 1 for white (WCAG)."""
    linear = [c / 12.92 if (c := each / 255) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for each in channels]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
