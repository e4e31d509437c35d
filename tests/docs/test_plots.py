"""Plots of findings are drawings with their data beside them, small, and no picture of anybody's tissue."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PLOTS = sorted((DOCS / "figures").glob("*/*.svg"))


@pytest.mark.parametrize("plot", PLOTS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_plot_holds_lines_and_words_alone(plot):
    assert {element.tag.rpartition("}")[2] for element in ET.parse(plot).iter()} <= {
        "svg", "title", "desc", "rect", "circle", "polyline", "text",
    }  # fmt: skip
    assert plot.with_suffix(".csv").read_text().count("\n") > 1


def test_they_are_small_and_the_findings_show_some():
    files = [file for file in (DOCS / "figures").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} <= {".svg", ".csv"}
    assert sum(file.stat().st_size for file in files) < 1_000_000
    shown = re.findall(r"!\[([^\]]+)\]\((figures/[^)]+)\)", (DOCS / "findings.md").read_text())
    assert len(shown) >= 5
    for words, place in shown:
        assert len(words) > 30
        assert DOCS / place in PLOTS
