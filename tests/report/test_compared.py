"""What is said of order: what `mitozoo compare` says, less where it would take too long, nothing of unlikes."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from mitozoo.report import compared as module
from mitozoo.report.compared import compared, over_datasets
from mitozoo.report.gathering import Section, gather
from mitozoo.results.compare import compare


@pytest.fixture(scope="module")
def sections(runs) -> list[Section]:
    return gather(list(runs.values()))


def changed(section: Section, part: str, **values) -> Section:
    def with_values(run):
        document = copy.deepcopy(run.document)
        document[part] |= values
        return replace(run, result=replace(run.result, document=document))

    return Section(tuple(map(with_values, section.runs)))


def test_it_is_the_comparison_that_the_command_makes(sections, runs, monkeypatch):
    monkeypatch.setattr(module, "REPLICATES", 99)
    [expected] = compare([runs[name] for name in ("steady", "shifted", "chance")], replicates=99)["comparisons"]
    assert compared(sections[0]) == (expected, "")
    assert compared(sections[1]) == (None, "")


def test_less_or_nothing_where_it_would_take_long(sections, monkeypatch):
    cells = sum(len(fit.cell) for run in sections[0].runs for fit in run.fits)
    monkeypatch.setattr(module, "DRAWN_CELLS", cells * module.FEWER_REPLICATES)
    found, reason = compared(sections[0])
    assert found is not None
    assert reason == ""
    monkeypatch.setattr(module, "DRAWN_CELLS", cells)
    found, reason = compared(sections[0])
    assert found is None
    assert "mitozoo compare makes them" in reason


def test_nothing_is_ranked_over_what_differs(sections):
    one = sections[0]
    for other, reason in (
        (changed(one, "protocol", hash="0" * 64), "not all of one protocol"),
        (changed(one, "conditions", label_noise=0.1), "not all of one protocol"),
        (one, "different cells of one dataset"),
        (changed(one, "dataset", name="other"), "not every model was run on every dataset"),
    ):
        assert reason in over_datasets([one, other], [{"no_ranks": ""}, None])["refused"]
    other = changed(one, "dataset", name="other")
    assert over_datasets([one, other], [{"no_ranks": "few"}, {"no_ranks": ""}]) == {"refused": "few"}
    assert "where the images of 'other' come from" in over_datasets([one, other], [{"no_ranks": ""}] * 2)["refused"]
    assert over_datasets([one], [None]) is None
