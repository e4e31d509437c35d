"""The page: whole in itself, accessible, the same for equal runs, and deaf to what names would have it do."""

from __future__ import annotations

import base64
import csv
import hashlib
import itertools
import json
import re
import shutil
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import click.testing
import pytest
from parsed_page import Page
from PIL import Image

from mitozoo.cli import main
from mitozoo.engine.seen_again import see_again
from mitozoo.report.report import write_report
from mitozoo.results.result import Result
from mitozoo.results.run_folder import dump, read_document

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = (
    '<script>alert("x")</script>',
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "</style></script><svg/onload=alert(1)>",
)
EMBEDDED = ("src", "srcset", "data", "poster", "action", "formaction", "background", "xlink:href")


def windows(run):
    return see_again(run.document, run.cells["cell_id"].tolist(), None)


@pytest.fixture(scope="module")
def made(runs, tmp_path_factory) -> tuple[str, Path]:
    """Return the text of a page about all runs, and the folder of its figures."""
    folder = tmp_path_factory.mktemp("report")
    write_report(list(runs.values()), folder / "page.html", windows=windows, figures=folder / "figures")
    return (folder / "page.html").read_text(encoding="utf-8"), folder / "figures"


@pytest.fixture(scope="module")
def page(made) -> Page:
    return Page(made[0])


def test_nothing_is_fetched_from_anywhere(page, made):
    for element in page.elements:
        for name, value in element.attributes.items():
            assert name not in EMBEDDED or value.startswith("data:image/jpeg;base64,"), (element.tag, name, value)
            assert not name.startswith("on"), f"<{element.tag} {name}>"
        if "href" in element.attributes:
            assert element.tag == "a"
            assert re.match(r"#|https://doi\.org/", element.attributes["href"])
    assert not page.all("link", "iframe", "object", "embed", "base", "form", "foreignobject")
    assert "url(" not in made[0]
    assert "@import" not in made[0]


def test_its_policy_allows_its_own_script_alone(page):
    [policy] = [e.attributes["content"] for e in page.all("meta") if "http-equiv" in e.attributes]
    [script] = page.all("script")
    digest = base64.b64encode(hashlib.sha256("".join(script.words).encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy
    for word in ("fetch(", "XMLHttpRequest", "innerHTML", "eval("):
        assert word not in "".join(script.words)


def test_every_id_is_there_once_and_every_reference_is_answered(page):
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in page.elements:
        for name in ("aria-labelledby", "for", "data-filters"):
            assert set(element.attributes.get(name, "").split()) <= set(ids)
        if element.attributes.get("href", "").startswith("#"):
            assert element.attributes["href"][1:] in ids


def test_every_figure_and_picture_has_words_and_data(page):
    figures = page.all("figure")
    assert len(figures) >= 8
    for figure in figures:
        [drawing] = figure.all("svg")
        assert drawing.attributes["role"] == "img"
        assert all(len(words.text) > 3 for words in drawing.all("title", "desc"))
        assert figure.all("figcaption")[0].text.strip()
        assert len(figure.all("table")[0].all("tr")) > 1
    pictures = page.all("img")
    assert pictures
    assert all(picture.attributes["alt"].startswith("Crop of cell cell-") for picture in pictures)


def test_every_table_has_a_caption_and_whole_rows(page):
    for table in page.all("table"):
        assert table.all("caption")[0].text.strip()
        head = table.all("thead")[0].all("th")
        assert all(header.attributes["scope"] == "col" and header.text.strip() for header in head)
        for row in table.all("tbody")[0].all("tr"):
            assert len(row.all("th", "td")) == len(head)


def test_it_has_landmarks_headings_and_a_language(page):
    assert page.all("html")[0].attributes["lang"] == "en"
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) - len(page.all("svg")) == 1
    levels = [int(heading.tag[1]) for heading in page.all("h1", "h2", "h3")]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_runs_of_different_cells_stand_apart(page, runs):
    sections = page.all("section")
    names = [
        [row.all("th")[0].text for row in section.all("table")[0].all("tbody")[0].all("tr")] for section in sections[:2]
    ]
    assert names == [["steady", "shifted", "chance"], ["steady"]]
    assert "tiny-official" in sections[1].all("h2")[0].text
    assert "No mean ranks over datasets: not every model was run on every dataset" in sections[2].text


def test_it_says_what_the_results_say(page, runs):
    rows = page.all("section")[0].all("table")[0].all("tbody")[0].all("tr")
    for name, row in zip(("steady", "shifted", "chance"), rows, strict=True):
        document = Result.read(runs[name]).document
        auroc = document["summary"][0]["metrics"]["auroc"]
        cells = row.all("th", "td")
        assert cells[1].text == f"{auroc['mean']:.3f} [{auroc['ci_low']:.3f}, {auroc['ci_high']:.3f}]"
        assert float(cells[1].attributes["data-key"]) == auroc["mean"]
        assert [mark.text for mark in cells[-1].all("span")] == document["marks"]
        assert "synthetic data" in cells[-1].text
    assert "<b>upright</b>" in page.all("section")[0].text
    assert page.all("b") == []


def test_the_checklist_is_answered_from_the_record(page):
    [table] = [t for t in page.all("table") if t.all("caption")[0].text.startswith("chance: reporting checklist")]
    said = {row.all("td")[1].text: [cell.text for cell in row.all("td")] for row in table.all("tbody")[0].all("tr")}
    assert {cells[2] for cells in said.values()} == {"yes", "no", "not applicable"}
    assert said["chance of training told apart"][2:] == ["yes", "seeds: 2"]
    assert said["real patients"][2:] == ["no", "synthetic"]
    assert said["no case on both sides"][2] == "yes"
    assert said["ethics, funding and registration"][2] == "not applicable"


def test_figures_are_drawings_with_their_data_and_pictures_of_them(made):
    folder = made[1] / "1-tiny-linear-probe-1"
    names = {file.name for file in folder.iterdir()}
    assert {"learning-curve.svg", "roc.csv", "precision-recall.svg", "calibration.csv", "differences.svg"} <= names
    for file in folder.glob("*.svg"):
        assert ET.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        rows = list(csv.reader(file.with_suffix(".csv").open(newline="")))
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(rows[0])}
        drawn = Image.open(file.with_suffix(".png")).convert("L")
        assert drawn.size == tuple(2 * int(ET.parse(file).getroot().get(side)) for side in ("width", "height"))
        assert drawn.getextrema() == (0, 255)
    curve = list(csv.reader((folder / "roc.csv").open(newline="")))
    assert curve[0] == ["false-positive rate", "steady", "shifted", "chance"]
    assert len(curve) == 102
    assert [float(value) for value in curve[-1]] == [1, 1, 1, 1]


def test_equal_runs_give_equal_bytes(made, runs, tmp_path):
    write_report(list(runs.values()), tmp_path / "again.html", windows=windows)
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == made[0]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_stay_text(hostile, runs, tmp_path):
    folder = shutil.copytree(runs["steady"], tmp_path / "run")
    document = read_document(folder / "result.json")
    document["model"] |= {"name": hostile, "license": hostile}
    document["dataset"] |= {"name": hostile, "negatives_origin": hostile}
    document["dataset"]["classes"]["positive"]["name"] = hostile
    document["marks"].append(hostile)
    document["contamination"] = "unknown"
    for entry in document["by_domain"]:
        entry |= {"domain": hostile, "value": hostile}
    (folder / "result.json").write_text(dump(document), encoding="utf-8")
    write_report([folder, runs["shifted"]], tmp_path / "page.html", figures=tmp_path / "figures")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert page.all("img") == []
    assert not [name for element in page.elements for name in element.attributes if name.startswith("on")]
    assert page.all("section")[0].all("table")[0].all("tbody")[0].all("th")[0].text == hostile
    for file in tmp_path.glob("figures/*/*.svg"):
        assert {element.tag.rpartition("}")[2] for element in ET.parse(file).iter()} <= {
            "svg", "title", "desc", "rect", "circle", "polyline", "text",
        }  # fmt: skip


def test_formulas_in_names_are_no_formulas_in_csv(runs, tmp_path):
    folder = shutil.copytree(runs["steady"], tmp_path / "run")
    document = read_document(folder / "result.json")
    document["model"]["name"] = "=1+1"
    (folder / "result.json").write_text(dump(document), encoding="utf-8")
    write_report([folder], tmp_path / "page.html", figures=tmp_path / "figures")
    [table] = tmp_path.glob("figures/*/learning-curve.csv")
    assert {row[0] for row in csv.reader(table.open(newline=""))} == {"run", "'=1+1"}


def test_pictures_are_the_run_s_own_or_none(runs, tmp_path):
    def changed(run):
        return see_again(
            run.document | {"identity": run.document["identity"] | {"windows": "0" * 64}},
            run.cells["cell_id"].tolist(),
            None,
        )

    told = write_report([runs["steady"]], tmp_path / "page.html", windows=changed)
    assert told == ["no pictures of steady: the files of dataset 'tiny' show other pixels than the run saw"]
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.all("img") == []
    assert "None of steady: the dataset's files are not at hand" in page.root.text


def test_maps_only_of_what_the_cache_holds(runs, own_home, tmp_path):
    write_report([runs["steady"]], tmp_path / "page.html", windows=windows)
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.all("img")
    assert "No map of steady: its embeddings are not in the cache" in page.root.text
    assert "Embeddings of steady" not in page.root.text


@pytest.mark.parametrize("name", ["predictions.parquet", "splits.parquet", "cells.parquet"])
@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_broken_runs_are_refused_by_name(name, damage, runs, tmp_path):
    folder = shutil.copytree(runs["steady"], tmp_path / "broken-run")
    if damage == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes((runs["elsewhere"] / name).read_bytes())
    answer = click.testing.CliRunner().invoke(main, ["report", str(folder), "-o", str(tmp_path / "page.html")])
    assert answer.exit_code in (1, 2)
    assert f"broken-run: {name}" in answer.output
    assert not (tmp_path / "page.html").exists()


def test_scores_that_are_not_there_are_missed(runs, tmp_path):
    import pandas as pd

    folder = shutil.copytree(runs["steady"], tmp_path / "short-run")
    table = pd.read_parquet(folder / "predictions.parquet")
    document = read_document(folder / "result.json")
    table[table["row_id"] != "fold0-seed0-fraction1"].to_parquet(folder / "predictions.parquet", index=False)
    document["files"]["predictions.parquet"] = hashlib.sha256((folder / "predictions.parquet").read_bytes()).hexdigest()
    (folder / "result.json").write_text(dump(document), encoding="utf-8")
    answer = click.testing.CliRunner().invoke(main, ["report", str(folder), "-o", str(tmp_path / "page.html")])
    assert answer.exit_code == 1
    assert "short-run: predictions.parquet lacks scores of row fold0-seed0-fraction1" in answer.output


def test_a_document_that_breaks_its_schema_is_refused(runs, tmp_path):
    folder = shutil.copytree(runs["steady"], tmp_path / "odd-run")
    document = read_document(folder / "result.json")
    del document["summary"]
    (folder / "result.json").write_text(json.dumps(document), encoding="utf-8")
    answer = click.testing.CliRunner().invoke(main, ["report", str(folder), "-o", str(tmp_path / "page.html")])
    assert answer.exit_code == 1
    assert "odd-run: result.json breaks its schema" in answer.output


@pytest.mark.parametrize("garble", [
    lambda document: document["summary"][0]["metrics"].pop("within_slide_auroc"),
    lambda document: document["controls"]["slide_prior"]["auroc"].update(ci_low="<b>"),
    lambda document: document["controls"].update(slide_prior=[]),
    lambda document: document["audit"].update(skipped_cells=3),
    lambda document: document["model"].update(parameters="many"),
    lambda document: document["candidate_count"].pop("true"),
])  # fmt: skip
def test_what_the_schema_does_not_say_is_refused_by_name_too(garble, runs, tmp_path):
    folder = shutil.copytree(runs["steady"], tmp_path / "garbled-run")
    document = read_document(folder / "result.json")
    garble(document)
    (folder / "result.json").write_text(dump(document), encoding="utf-8")
    answer = click.testing.CliRunner().invoke(main, ["report", str(folder), "-o", str(tmp_path / "page.html")])
    assert answer.exit_code == 1
    assert "garbled-run: its result.json does not hold what a report shows" in answer.output
    assert not (tmp_path / "page.html").exists()


def test_a_run_without_a_single_fit_is_shown_as_such(zoo, tmp_path):
    import mitozoo

    folder = mitozoo.evaluate("steady", "tiny", out=tmp_path, fractions=(0.001,)).folder
    write_report([folder], tmp_path / "page.html", windows=windows)
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "steady: no row was fitted" in page.root.text
    assert page.all("figure", "img") == []


def test_the_command_says_where_the_page_is(runs, tmp_path):
    target = tmp_path / "deep" / "page.html"
    answer = click.testing.CliRunner().invoke(main, ["report", str(runs["steady"]), "-o", str(target), "--no-pictures"])
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == f"report: {target}\n"
    assert "None were asked for." in Page(target.read_text(encoding="utf-8")).root.text


def test_a_run_that_is_named_twice_counts_once(runs, tmp_path):
    write_report([runs["steady"], runs["steady"]], tmp_path / "page.html")
    assert "1 run in 1 section." in Page((tmp_path / "page.html").read_text(encoding="utf-8")).root.text
