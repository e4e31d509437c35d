"""The report in a real browser: it asks nobody for anything, answers mouse and keys, and all can read it."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING

import pytest
from looks import COLOURS, faint_words_of_drawings, open_all, sticking_out, violations
from report_runs import saying

import mitozoo
from mitozoo.engine.seen_again import see_again
from mitozoo.report.report import write_report

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

SCRIPT = "<script>window.taken = true</script>"
IMAGE = '"><img src=x onerror="window.taken = true">'
CLOSING = "</title></style></script><svg onload='window.taken = true'>"
LONG = "an-encoder-with-a-name-that-no-line-can-hold-" * 3


@pytest.fixture(scope="module")
def report(zoo, tmp_path_factory) -> Path:
    """Write a report of a run and of three copies; two bear names that would do harm if they were more than text."""
    folder = tmp_path_factory.mktemp("report")
    run = mitozoo.evaluate("steady", "tiny", out=folder, fractions=(0.5, 1.0)).folder

    def middling(document):
        document["run_id"] = "0" * 64
        document["model"] |= {"name": "middling", "parameters": None}
        document["summary"][0]["metrics"]["auroc"] |= {"mean": 0.7, "ci_low": 0.6, "ci_high": 0.8}

    def hostile(document):
        document["run_id"] = "1" * 64
        document["model"] |= {"name": IMAGE, "license": SCRIPT}
        document["summary"][0]["metrics"]["auroc"] |= {"mean": 0.6, "ci_low": None, "ci_high": None}
        document["marks"].append(CLOSING)

    def hostile_dataset(document):
        document["run_id"] = document["dataset"]["cells_sha256"] = "2" * 64
        document["model"]["name"] = LONG
        document["dataset"] |= {"name": SCRIPT, "negatives_origin": IMAGE}
        document["dataset"]["classes"]["positive"]["name"] = CLOSING
        for entry in document["by_domain"]:
            entry |= {"domain": IMAGE, "value": SCRIPT}

    folders = [
        saying(run, folder / "middling", middling), run, saying(run, folder / "hostile", hostile),
        saying(run, folder / "hostile-dataset", hostile_dataset),
    ]  # fmt: skip
    (folder / "middling" / "compute.json").unlink()  # so that nothing tells its cost
    known = {"middling": "steady", IMAGE: "steady", LONG: "steady", SCRIPT: "tiny"}

    def windows(run):
        document = copy.deepcopy(run.document)
        for part in ("model", "dataset"):
            document[part]["name"] = known.get(document[part]["name"], document[part]["name"])
        return see_again(document, run.cells["cell_id"].tolist(), None)

    write_report(folders, folder / "report.html", windows=windows)
    return folder / "report.html"


def column(page: Page, number: int) -> list[str]:
    """Return what a column of the first table of models shows."""
    return page.locator(f"#section-1-models tbody tr:not([hidden]) > :nth-child({number})").all_inner_texts()


def header(page: Page, name: str) -> Locator:
    return page.locator("#section-1-models").get_by_role("columnheader", name=re.compile(f"^{name}"))


def test_it_sorts_by_mouse_and_by_keys(visit, report):
    page = visit(report)
    auroc = [float(text.split(" ")[0]) for text in column(page, 2)]
    assert len(set(auroc)) == 3
    header(page, "auroc").get_by_role("button").click()
    assert [float(text.split(" ")[0]) for text in column(page, 2)] == sorted(auroc, reverse=True)
    assert header(page, "auroc").get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert [float(text.split(" ")[0]) for text in column(page, 2)] == sorted(auroc)
    assert header(page, "auroc").get_attribute("aria-sort") == "ascending"
    header(page, "run").get_by_role("button").focus()
    page.keyboard.press("Space")
    assert column(page, 1) == [IMAGE, "middling", "steady"]
    assert page.locator("[aria-sort]").count() == 1


def test_what_is_unknown_stands_last_both_ways(visit, report):
    page = visit(report)
    button = header(page, "M parameters").get_by_role("button")
    assert [bool(text) for text in column(page, 11)] == [False, True, True]
    for _ in range(2):
        button.click()
        assert [bool(text) for text in column(page, 11)] == [True, True, False]


def test_it_filters_and_says_so(visit, report):
    page = visit(report)
    box = page.locator("#section-1").get_by_label("Show rows that contain")
    box.fill("STEADY")
    assert column(page, 1) == ["steady"]
    assert page.locator("#section-1").get_by_role("status").inner_text() == "1 of 3 rows"
    box.fill("<script>")
    assert column(page, 1) == [IMAGE]
    box.fill("")
    assert len(column(page, 1)) == 3
    assert page.locator("#section-1").get_by_role("status").inner_text() == ""


def test_a_gallery_opens_by_key_and_shows_its_crops(visit, report):
    page = visit(report)
    gallery = page.locator("details.gallery").first
    crop = gallery.locator("img").first
    assert not crop.is_visible()
    gallery.locator("summary").focus()
    page.keyboard.press("Enter")
    assert crop.is_visible()
    assert all(
        gallery.locator("img").evaluate_all("all => all.map(each => each.complete && each.naturalWidth === 112)")
    )
    assert re.match(
        r"score 0\.\d+, called positive in \d+ % of fits\nlabel: ", gallery.locator("li p").first.inner_text()
    )


@pytest.mark.parametrize("bypass_csp", [False, True], ids=["by its policy", "even without its policy"])
def test_names_stay_text(bypass_csp, visit, report):
    page = visit(report, bypass_csp=bypass_csp)
    open_all(page)
    assert page.evaluate("window.taken") is None
    assert page.locator("script").count() == page.locator("style").count() == 1
    assert page.locator("img:not([src^='data:image/jpeg;base64,'])").count() == 0
    assert page.title() == f"mitozoo report: tiny, {SCRIPT}"
    assert IMAGE in column(page, 1)
    assert page.get_by_role("heading", level=2).nth(1).inner_text().startswith(SCRIPT)
    assert page.locator("svg text", has_text="<script>").count()


def test_axe_finds_nothing_at_levels_a_and_aa(visit, report):
    page = visit(report)
    open_all(page)
    assert violations(page) == []
    assert faint_words_of_drawings(page) == []


def test_it_can_be_read_in_the_dark(visit, report):
    page = visit(report, dark=True)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    page.evaluate("for (const folded of document.querySelectorAll('#section-2 details')) folded.open = true")
    assert violations(page, COLOURS) == []
    assert faint_words_of_drawings(page) == []


@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_sticks_out(width, visit, report):
    page = visit(report, width=width)
    assert sticking_out(page) == []
    open_all(page)
    assert sticking_out(page) == []


def test_on_a_phone_charts_shrink_and_names_of_rows_stay_in_sight(visit, report):
    page = visit(report, width=360)
    chart = page.get_by_role("img", name="ROC curve").first.bounding_box()
    assert chart["x"] + chart["width"] <= 360
    page.locator("#section-1 .wide").first.evaluate("frame => frame.scrollLeft = 600")
    row = page.locator("#section-1-models tbody tr").filter(has_text="middling")
    assert row.locator("td").nth(1).bounding_box()["x"] < 0
    assert row.locator("th").bounding_box()["x"] >= 0
    assert 60 < row.locator("th").bounding_box()["width"] <= 144


def test_the_first_key_leads_past_the_head(visit, report):
    page = visit(report, width=360)
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    assert skip.inner_text() == "To the results"
    assert skip.bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


def test_it_prints_dark_on_light_and_whole(visit, report):
    page = visit(report, dark=True, width=682)  # A4 between its margins
    page.emulate_media(media="print")
    assert violations(page, COLOURS) == []
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.get_by_text("asked by").first.is_visible()
    assert page.locator("details.gallery img").first.is_visible()
    assert not page.get_by_role("searchbox").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert faint_words_of_drawings(page) == []
    assert page.locator(".wide").evaluate_all("all => all.filter(each => each.scrollWidth > innerWidth).length") == 0
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert not page.get_by_text("asked by").first.is_visible()


def test_without_its_script_all_is_there(visit, report):
    page = visit(report, java_script_enabled=False)
    assert len(column(page, 1)) == 3
    gallery = page.locator("details.gallery").first
    gallery.locator("summary").click()
    assert gallery.locator("img").first.is_visible()
