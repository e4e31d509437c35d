"""The leaderboard in a real browser, from a disk: its pages hang together, answer, and can be read by all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from looks import COLOURS, sticking_out, violations
from made_results import document, identified, write

from mitozoo.leaderboard.site import build_site

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

MODELS = 120
SCRIPT = "<script>window.taken = true</script>"
IMAGE = '"><img src=x onerror="window.taken = true">'
CLOSING = "</script></title></style><svg onload='window.taken = true'>"
KINDS = ("index", "board", "model", "dataset")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Build a site of 120 models on one dataset, and of a model that bears wild names on a dataset that does too."""
    folder = tmp_path_factory.mktemp("leaderboard")
    for number in range(MODELS):
        mean = 0.5 + number / 1000
        made = document(f"encoder-{number:03}", (mean, mean - 0.02, mean + 0.02))
        made["model"] |= {
            "license": ("Apache-2.0", "CC-BY-NC-ND-4.0")[number % 2], "gated": number % 3 == 0,
            "parameters": None if number == 7 else 1_000_000 * (number + 1),
        }  # fmt: skip
        made["marks"] = ["THIS SPLIT LEAKS: cells of one slide lie on both sides"] if number == 5 else []
        write(folder / "runs" / f"{number}", identified(made), created="2026-03-01T00:00:00+00:00")
    wild = document(IMAGE, cells=SCRIPT)
    wild["model"] |= {"license": CLOSING, "reference": f"javascript:window.taken=true//{CLOSING}", "version": SCRIPT}
    wild["dataset"] |= {"negatives_origin": IMAGE, "license": CLOSING, "reference": SCRIPT}
    wild["dataset"]["classes"]["positive"]["name"] = CLOSING
    wild["marks"] = [CLOSING, "an-mark-that-no-line-can-hold-" * 4]
    write(folder / "runs" / "wild", identified(wild))
    build_site(folder / "runs", folder / "site")
    return folder / "site"


@pytest.fixture
def look(visit, site):
    """Return a function that opens the board of a dataset, or a page that is reached from it."""

    def at(kind: str = "board", dataset: str = "some-cells", **how) -> Page:
        page = visit(site / "index.html", within=site, **how)
        if kind != "index":
            row = page.locator("#results tbody tr").filter(has=page.get_by_role("cell", name=dataset, exact=True))
            row.get_by_role("link").click()
        if kind == "model":
            page.locator("#results tbody tr").first.get_by_role("link").click()
        if kind == "dataset":
            page.locator(".facts").get_by_role("link").first.click()
        return page

    return at


def names(page: Page) -> list[str]:
    return page.locator("#results tbody th").all_inner_texts()


def status(page: Page) -> str:
    return page.get_by_role("status").inner_text()


def header(page: Page, name: str) -> Locator:
    return page.get_by_role("columnheader", name=re.compile(f"^{name}"))


def test_pages_lead_to_each_other_and_back(look):
    page = look()
    assert page.get_by_role("heading", level=1).inner_text().startswith("some-cells")
    page.get_by_role("link", name="encoder-119", exact=True).click()
    assert page.get_by_role("heading", level=1).inner_text() == "encoder-119"
    page.locator("#results tbody").get_by_role("link").click()
    assert names(page)[0] == "encoder-119"
    page.locator(".trail").get_by_role("link", name="some-cells").click()
    assert page.get_by_role("heading", level=1).inner_text() == "some-cells"
    page.locator(".trail").get_by_role("link", name="leaderboard").click()
    assert page.url.endswith("/index.html")
    assert len(names(page)) == 2


def test_it_sorts_by_mouse_and_by_keys(look):
    page = look()
    header(page, "million parameters").get_by_role("button").click()
    assert names(page)[:2] == ["encoder-119", "encoder-118"]
    assert header(page, "million parameters").get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert names(page)[:2] == ["encoder-000", "encoder-001"]
    header(page, "model").get_by_role("button").focus()
    page.keyboard.press("Space")
    assert names(page) == [f"encoder-{number:03}" for number in range(100)]
    assert page.locator("[aria-sort]").count() == 1


def test_it_turns_its_pages_and_what_is_unknown_stands_last(look):
    page = look()
    assert status(page) == "Rows 1 to 100 of 120"
    for _ in range(2):
        header(page, "million parameters").get_by_role("button").click()
        page.get_by_role("button", name="Next rows").click()
        assert status(page) == "Rows 101 to 120 of 120"
        assert names(page)[-1] == "encoder-007"
        assert page.get_by_role("button", name="Next rows").is_disabled()
    page.get_by_role("button", name="Previous rows").click()
    assert len(names(page)) == 100


def test_filters_hold_together_and_say_what_they_leave(look):
    page = look()
    page.get_by_label("Show rows that contain").fill("ENCODER-01")
    assert sorted(names(page)) == [f"encoder-{number:03}" for number in range(10, 20)]
    page.get_by_label("Without gated models").check()
    page.get_by_label("At most so many million parameters").fill("18")
    assert sorted(names(page)) == [
        "encoder-010",
        "encoder-011",
        "encoder-013",
        "encoder-014",
        "encoder-016",
        "encoder-017",
    ]
    page.get_by_label("Licence").select_option("Apache-2.0")
    assert sorted(names(page)) == ["encoder-010", "encoder-014", "encoder-016"]
    assert status(page) == "Rows: 3 of 120"
    page.get_by_label("Show rows that contain").fill("")
    page.get_by_label("Leak-free results only").check()
    assert "encoder-005" not in names(page)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bypass_csp", [False, True], ids=["by its policy", "even without its policy"])
def test_names_stay_text(bypass_csp, kind, look):
    page = look(kind, SCRIPT, bypass_csp=bypass_csp)
    if kind != "index":
        header(page, "marks").or_(header(page, "checked")).first.get_by_role("button").click()  # rows made anew
    assert page.evaluate("window.taken") is None
    assert page.locator("img, svg, style:not(head style)").count() == 0
    assert page.locator("script").count() == 2
    assert page.locator("a:not([href$='.html']):not([href^='#'])").count() == 0
    wild = {"index": SCRIPT, "board": IMAGE, "model": IMAGE, "dataset": SCRIPT}[kind]
    assert page.locator("body").get_by_text(wild).count()


@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing_at_levels_a_and_aa(kind, look):
    page = look(kind, SCRIPT)
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert violations(page, COLOURS) == []


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_sticks_out(kind, width, look):
    assert sticking_out(look(kind, SCRIPT, width=width)) == []


def test_it_prints_dark_on_light_and_whole(look):
    page = look(dark=True, width=682)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.get_by_label("Show rows that contain").is_visible()
    assert page.locator(".wide").evaluate_all("all => all.filter(each => each.scrollWidth > innerWidth).length") == 0


def test_without_its_script_the_first_rows_are_there(look):
    page = look(java_script_enabled=False)
    assert len(names(page)) == 100
    assert "Without JavaScript the first 100 rows show." in page.content()
    assert not page.get_by_label("Show rows that contain").is_visible()
