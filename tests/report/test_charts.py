"""Charts: fields that can be read, lines that can be told apart, and the front of score against compute."""

from __future__ import annotations

from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from mitozoo.report.differences import mean_ranks_figure
from mitozoo.report.domain_map import _heat, _luminance, domain_maps
from mitozoo.report.gathering import Section
from mitozoo.report.score_against_compute import pareto
from mitozoo.report.svg import Drawing, style


def channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


@pytest.mark.parametrize("value", [None, *(step / 100 for step in range(101))])
def test_every_field_of_a_heat_map_can_be_read(value):
    field, ink = (_luminance(*channels(colour)) for colour in _heat(value))
    assert (max(field, ink) + 0.05) / (min(field, ink) + 0.05) >= 4.5


def test_lines_stand_out_from_white_and_from_the_dark_page():
    dark = _luminance(*channels("#14171a"))
    for series in range(4):
        found = _luminance(*channels(style(series)[0]))
        assert 1.05 / (found + 0.05) >= 2.9
        assert (found + 0.05) / (dark + 0.05) >= 3
    assert len({style(series) for series in range(20)}) == 20


def run(name: str, gflops: float | None, auroc: float, parameters: int | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        name=name, cost={"gflops": gflops} if gflops else {}, document={"model": {"parameters": parameters}},
        metric=lambda metric: {"mean": auroc},
    )  # fmt: skip


def test_the_front_holds_whom_no_cheaper_one_reaches():
    section = Section(
        (run("large", 100, 0.8), run("small", 1, 0.7), run("wasteful", 50, 0.65), run("middle", 10, 0.75))
    )
    figure = pareto(section, "s1")
    assert [(row[0], row[3]) for row in figure.rows] == [
        ("small", "yes"), ("middle", "yes"), ("wasteful", "no"), ("large", "yes"),
    ]  # fmt: skip
    assert figure.headers[1] == "GFLOPs a patch"


def test_names_of_runs_that_lie_together_do_not():
    figure = pareto(Section((run("one", 5, 0.8), run("other", 5, 0.8), run("third", 9, 0.6))), "s1")
    words = {each.text: each for each in ET.fromstring(figure.svg).iterfind(".//{*}text")}
    assert words["one"].get("x") == words["other"].get("x")
    assert float(words["other"].get("y")) - float(words["one"].get("y")) == pytest.approx(12)


def test_parameters_stand_in_where_fewer_runs_tell_their_work():
    figure = pareto(Section((run("one", 5, 0.8, 10_000_000), run("two", None, 0.7, 2_000_000))), "s1")
    assert figure.headers[1] == "million parameters"
    assert [row[:2] for row in figure.rows] == [["two", 2], ["one", 10]]
    assert pareto(Section((run("one", 5, 0.8), run("two", None, 0.7))), "s1") is None


def test_mean_ranks_are_drawn_best_first():
    across = {
        "models": ["a", "b", "c"], "ranks": [2.5, 1.2, 2.3], "cliques": [[2, 0]], "datasets": 6, "p": 0.01,
        "critical_difference": 1.35,
    }  # fmt: skip
    figure = mean_ranks_figure(across, "auroc")
    assert figure.rows == [["b", 1.2], ["c", 2.3], ["a", 2.5]]
    assert "critical difference 1.35" in figure.note
    assert ET.fromstring(figure.svg).get("role") == "img"


def test_words_are_escaped():
    drawing = Drawing(10, 10, (0, 1), (0, 1))
    drawing.text(0, 0, "<script>&")
    assert ET.fromstring(drawing.finished("x", "<b>", '"&')).find("{*}text").text == "<script>&"


def test_a_matrix_of_domains_names_what_was_trained_on_however_long_a_name_is():
    long = "an-encoder-with-a-name-that-no-line-can-hold"
    scores = {"mean": 0.7, "ci_low": 0.6, "ci_high": 0.8}
    counts = {"domain": "scanner", "groups": 3, "cells": 9, "positive_cells": 3, "metrics": {"auroc": scores}}
    apart = [
        counts | {"trained_on": one, "value": other} for one in ("scanner=Aperio CS2", "XR") for other in ("A", "B")
    ]
    [figure] = domain_maps(Section((SimpleNamespace(name=long, document={"by_domain": apart}),)), "s1")
    words = [each.text for each in ET.fromstring(figure.svg).iterfind(".//{*}text")]
    assert words[2] == "trained on Aperio CS2: an-encod..."
    assert "trained on XR: an-encoder-with-..." in words
    assert figure.rows[0] == [f"trained on Aperio CS2: {long}", "A", 3, 9, 3, 0.7, 0.6, 0.8]
