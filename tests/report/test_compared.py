"""What is said of order: what `mitozoo compare` says, less where it would take too long, nothing of unlikes."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest

import mitozoo
from mitozoo.report import compared as module
from mitozoo.report.compared import compared, over_datasets
from mitozoo.report.gathering import Section, gather
from mitozoo.results.compare import compare
from mitozoo.results.run_folder import dump, read_document


@pytest.fixture(scope="module")
def sections(runs) -> list[Section]:
    return gather(list(runs.values()))


def changed(section: Section, part: str, **values) -> Section:
    def with_values(run):
        document = copy.deepcopy(run.document)
        document[part] |= values
        return replace(run, result=replace(run.result, document=document))

    return Section(tuple(map(with_values, section.runs)))


def rounded(compared: dict) -> dict:
    """Return a comparison by AUROC alone, its numbers to nine digits."""
    for each in compared["runs"]:
        each["means"] = {"auroc": each["means"]["auroc"]}
    for pair in compared["pairs"]:
        pair["metrics"] = {"auroc": pair["metrics"]["auroc"]}
    return json.loads(json.dumps(compared), parse_float=lambda digits: round(float(digits), 9))


def test_it_is_the_comparison_that_the_command_makes(sections, runs, monkeypatch):
    monkeypatch.setattr(module, "REPLICATES", 99)
    [expected] = compare([runs[name] for name in ("steady", "shifted", "chance")], replicates=99)["comparisons"]
    found, reason = compared(sections[0])
    assert reason == ""
    assert rounded(found) == rounded(expected)
    assert compared(sections[1]) == (None, "")


def test_cells_in_another_order_and_runs_of_fewer_labels_are_compared_alike(runs, tmp_path):
    half = mitozoo.evaluate("chance", "tiny", out=tmp_path, seeds=2, fractions=(0.5,)).folder
    turned = shutil.copytree(runs["shifted"], tmp_path / runs["shifted"].name)
    pd.read_parquet(turned / "cells.parquet").iloc[::-1].to_parquet(turned / "cells.parquet", index=False)
    sha256 = hashlib.sha256((turned / "cells.parquet").read_bytes()).hexdigest()
    document = read_document(turned / "result.json")
    document["files"]["cells.parquet"] = sha256
    (turned / "result.json").write_text(dump(document), encoding="utf-8")
    for others in ([turned], [turned, half]):
        [section] = gather([runs["steady"], *others])
        [expected] = compare([runs["steady"], runs["shifted"], *others[1:]])["comparisons"]
        assert expected["basis"]["fraction"] == (0.5 if half in others else 1.0)
        assert rounded(compared(section)[0]) == rounded(expected)


def test_less_or_nothing_where_it_would_take_long(sections, monkeypatch):
    fits = [(run, fit) for run in sections[0].runs for fit in run.fits]
    products = sum(run.cells["group"].iloc[fit.cell].nunique() ** 2 for run, fit in fits)
    monkeypatch.setattr(module, "PRODUCTS", products * module.FEWER_REPLICATES)
    found, reason = compared(sections[0])
    assert found is not None
    assert reason == ""
    monkeypatch.setattr(module, "PRODUCTS", products)
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
