"""A result as a person meets it: its table, its remarks, and a notebook's HTML in which nothing of a name runs."""

from __future__ import annotations

import copy

import pytest

import mitozoo
from mitozoo.results.result import Result


@pytest.fixture(scope="module")
def result(zoo, tmp_path_factory) -> Result:
    return mitozoo.evaluate("steady", "tiny", out=tmp_path_factory.mktemp("runs"), fractions=(0.5, 1))


def changed(result: Result, **parts) -> Result:
    document = copy.deepcopy(result.document)
    for path, value in parts.items():
        at = document
        *parents, last = path.split("__")
        for parent in parents:
            at = at[int(parent) if parent.isdigit() else parent]
        at[last] = value
    return Result(document, result.folder)


def test_it_can_be_read_back(result):
    for name in (result.folder, str(result.folder / "result.json"), result.document["run_id"][:8]):
        assert Result.read(name, result.folder.parent) == result


def test_numbers_by_name(result):
    assert result.mean() == result.document["summary"][0]["metrics"]["auroc"]["mean"]
    assert result.mean("ece", 0.5) == result.document["summary"][1]["metrics"]["ece"]["mean"]
    assert result.mean("ece", 0.25) is None
    with pytest.raises(KeyError):
        result.mean("accurracy")


def test_table(result):
    headers, rows = result.table()
    assert headers == ["metric", "all labels", "0.5 of labels"]
    assert rows[0][0] == "auroc"
    assert rows[0][1].startswith(f"{result.mean():.3f}")
    assert all(len(row) == 3 for row in rows)


def test_title(result):
    assert result.title() == "steady on tiny, linear-probe@1"
    assert changed(result, protocol__name="linear-probe@1+edge=black").title().endswith("linear-probe@1+edge=black")


def test_the_verdict_goes_by_the_intervals_lower_end(result):
    def verdict(**auroc) -> str:
        return changed(result, summary__0__metrics__auroc={"mean": 0.8, "ci_high": None, **auroc}).remarks()[0]

    loud = "DOES NOT BEAT the control that never sees the image (slide_prior, AUROC 0.500)"
    assert verdict(ci_low=0.49) == loud
    assert verdict(ci_low=0.5) == loud
    assert verdict(ci_low=0.51) == "image-blind control slide_prior: AUROC 0.500"
    assert verdict(ci_low=None) == "image-blind control slide_prior: AUROC 0.500"
    assert verdict(ci_low=None, mean=0.45) == loud
    assert verdict(ci_low=None, mean=None) == loud


def test_the_strongest_control_counts_and_no_oracle(result):
    lines = changed(
        result, **{"controls__domain_prior:scanner__auroc__mean": 0.9, "controls__test_slide_rate__auroc__mean": 0.97}
    ).remarks()
    assert lines[0].startswith("DOES NOT BEAT the control that never sees the image (domain_prior:scanner, AUROC 0.900")
    assert "knowing only each test slide's rate (an oracle): AUROC 0.970 - more than this model" in lines


def test_remarks_say_what_must_be_read_beside_the_numbers(result):
    lines = changed(result, marks=["synthetic data", "1 of 5 folds"], contamination="labels seen").remarks()
    assert "marked: synthetic data, 1 of 5 folds" in lines
    assert lines[-1].startswith("56 <b>upright</b> (positive) and 112 lying cells in 14 slides")
    assert lines[-1].endswith("pretraining: labels seen")
    flagged = changed(result, scores__0__flags=["odd"], scores__1__flags=["odd", "other"]).remarks()
    assert "in 2 rows: odd" in flagged
    assert "in 1 rows: other" in flagged


def test_html_escapes_what_plugins_wrote(result):
    wild = changed(result, model__name="<script>alert(1)</script>", marks=["<img src=x>"])
    page = wild._repr_html_()
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>" not in page
    assert "&lt;b&gt;upright&lt;/b&gt;" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; on tiny" in page
    assert page.count("<tr>") == 1 + len(result.table()[1])
