"""The site: whole, the same for equal results, with no word that is taken for markup, and nothing fetched."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from typing import TYPE_CHECKING

import pytest
from made_results import document, identified, summary, verdict, write
from parsed_page import Page

from mitozoo.errors import DataError, VerificationError
from mitozoo.leaderboard import table as table_module
from mitozoo.leaderboard.site import MARKER, build_site
from mitozoo.leaderboard.table import shown

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = (
    '<script>alert("x")</script>',
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "</script></style></title><svg/onload=alert(1)>",
    "</SCRIPT ><!--<script>",
    "javascript:alert(1)",
)


def pages(site: Path) -> dict[str, Page]:
    return {file.relative_to(site).as_posix(): Page(file.read_text("utf-8")) for file in sorted(site.rglob("*.html"))}


def rows(page: Page) -> list[list[str]]:
    [table] = page.all("table")
    return [[cell.text.strip() for cell in row.all("th", "td")] for row in table.all("tbody")[0].all("tr")]


def data(page: Page) -> dict:
    [stored] = [script for script in page.all("script") if script.attributes.get("type") == "application/json"]
    return json.loads("".join(stored.words))


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Return a folder of results of six models, three of them in two tables, and what was found of two."""
    root = tmp_path_factory.mktemp("results")
    for number in range(6):
        auroc = (0.7 + number / 50, 0.695 + number / 50, 0.705 + number / 50)
        made = document(f"encoder-{number}", auroc, model={
            "license": ("MIT", "the owner's own")[number % 2], "gated": number % 2 == 1,
            "parameters": 10**number * 1000,
        }, contamination=("declared none", "unknown")[number % 2])  # fmt: skip
        sha = write(root / "runs" / f"{number}", made, created="2026-05-01T00:00:00Z")
        if number < 2:
            verdict(root / "verdicts", sha, "reproduced", flags=["AUROC above 0.99"] * number)
    for number in range(3):
        write(root / "runs" / "stained" / f"{number}", document(f"encoder-{number}", conditions={"stain": "macenko"}))
    write(root / "runs" / "older", document("encoder-0", (0.6, 0.5, 0.7)), created="2026-04-01T00:00:00Z")
    return root


@pytest.fixture(scope="module")
def site(results, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "site"
    build_site(results / "runs", folder, verdicts=results / "verdicts")
    return folder


@pytest.fixture(scope="module")
def built(site) -> dict[str, Page]:
    return pages(site)


def page_of(built, folder, start) -> Page:
    [page] = [page for name, page in built.items() if name.startswith(f"{folder}/{start}-") and "macenko" not in name]
    return page


def test_there_is_a_page_for_each_table_model_and_dataset(built):
    assert len(built) == 1 + 2 + 6 + 1
    assert [name.split("/")[0] for name in built].count("models") == 6


def test_the_first_page_lists_tables_and_claims_no_order(built):
    assert "10 entries of 6 models on 1 datasets, in 2 tables" in built["index.html"].root.text
    assert [row[0] for row in rows(built["index.html"])] == [
        "some-cells, linear-probe@1", "some-cells, linear-probe@1, macenko stain normalisation",
    ]  # fmt: skip
    assert rows(built["index.html"])[0][6:10] == ["6", "6", "7", "2"]


def test_a_table_says_what_the_documents_say(built):
    board = page_of(built, "boards", "some-cells-linear-probe-1")
    found = {row[0]: row for row in rows(board)}
    assert list(found) == [f"encoder-{number}" for number in range(5, -1, -1)]
    assert found["encoder-1"][1:8] == [
        "5", "0.720 [0.715, 0.725]", "AUROC above 0.99", "reproduced", "unknown", "the owner's own, gated", "0.0",
    ]  # fmt: skip
    assert found["encoder-5"][1] == "1"
    assert found["encoder-0"][-2:] == ["1", "2026-05-01"]
    assert "Bonferroni" in board.root.text


def test_a_model_s_page_has_its_history(built):
    model = page_of(built, "models", "encoder-0")
    assert [(row[0], row[2], row[4], row[5]) for row in rows(model)] == [
        ("some-cells, linear-probe@1", "0.700 [0.695, 0.705]", "reproduced", "stands"),
        ("some-cells, linear-probe@1, macenko stain normalisation", "0.800 [0.780, 0.820]", "self-reported", "stands"),
        ("some-cells, linear-probe@1", "0.600 [0.500, 0.700]", "self-reported", "earlier"),
    ]
    facts = dict(zip((e.text for e in model.all("dt")), (e.text for e in model.all("dd")), strict=True))
    assert facts["licence"] == "MIT"
    assert facts["embedding"] == "8 numbers, pooled by cls"
    assert [e.attributes["href"] for e in model.all("dd")[2].all("a")] == ["https://example.org/model"]


def test_every_link_of_the_site_leads_to_a_page_of_it(site, built):
    for name, page in built.items():
        for anchor in page.all("a"):
            address = anchor.attributes["href"]
            if address.startswith("https://"):
                assert "noreferrer" in anchor.attributes["rel"]
            elif not address.startswith("#"):
                assert ((site / name).parent / address).resolve().is_relative_to(site.resolve())
                assert ((site / name).parent / address).is_file()


def test_nothing_is_fetched_and_only_the_page_s_own_script_may_run(site, built):
    for name, page in built.items():
        for element in page.elements:
            assert not {"src", "srcset", "data", "action", "style"} & element.attributes.keys(), (name, element.tag)
            assert not [key for key in element.attributes if key.startswith("on")]
        assert not page.all("link", "iframe", "object", "embed", "base", "form", "img")
        [policy] = [e.attributes["content"] for e in page.all("meta") if "http-equiv" in e.attributes]
        [script] = [e for e in page.all("script") if "type" not in e.attributes]
        digest = base64.b64encode(hashlib.sha256("".join(script.words).encode()).digest()).decode()
        assert policy.startswith("default-src 'none'; ")
        assert f"script-src 'sha256-{digest}'" in policy
        for word in ("fetch(", "XMLHttpRequest", "innerHTML", "eval(", "import("):
            assert word not in "".join(script.words)


def test_pages_have_landmarks_headings_labels_and_whole_tables(built):
    for page in built.values():
        assert page.all("html")[0].attributes["lang"] == "en"
        assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
        levels = [int(heading.tag[1]) for heading in page.all("h1", "h2", "h3")]
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
        assert len(ids) == len(set(ids))
        labelled = {label.attributes["for"] for label in page.all("label")}
        assert {field.attributes["id"] for field in page.all("input", "select")} == labelled
        [table] = page.all("table")
        assert table.attributes["id"] == "results"
        head = table.all("thead")[0].all("th")
        assert all(header.attributes["scope"] == "col" and header.all("button") for header in head)
        for row in table.all("tbody")[0].all("tr"):
            assert len(row.all("th", "td")) == len(head)


def test_the_script_s_data_are_the_rows_that_stand_in_the_page(built):
    for page in built.values():
        stored, found = data(page), rows(page)
        assert len(stored["rows"]) == len(found)
        for row, cells in zip(stored["rows"], found, strict=True):
            for (kind, digits), value, cell in zip(stored["columns"], row, cells, strict=False):
                if kind == "marks":
                    assert " ".join(stored["words"][place][0] for place in value) == cell
                else:
                    text = value[0] if kind == "name" else shown(table_module.Column("", kind, digits), value)
                    assert text == cell


def test_equal_results_give_equal_bytes(results, site, tmp_path):
    build_site(results / "runs", tmp_path / "again", verdicts=results / "verdicts", processes=2)
    for file in site.rglob("*"):
        if file.is_file():
            assert (tmp_path / "again" / file.relative_to(site)).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_words_stay_text(hostile, tmp_path):
    touched = summary((0.7, 0.65, 0.75)) | {"perturbed": hostile, "difference": {}}
    made = document(hostile, model={"license": hostile, "reference": hostile, "version": hostile, "pooling": hostile})
    made["dataset"] |= {"name": hostile, "negatives_origin": hostile, "domains": [hostile], "reference": hostile}
    made["dataset"]["classes"]["positive"]["name"] = hostile
    made["protocol"]["name"] = hostile
    made["conditions"] |= {"trained_on": hostile}
    made["geometry"]["note"] = hostile
    made["marks"] = [hostile]
    made["controls"] = {
        hostile: made["controls"]["slide_prior"] | {"auroc": made["controls"]["slide_prior"]["auroc"] | {"mean": 0.9}}
    }
    made["perturbed"] = [touched]
    made["scores"] += [row | {"perturbed": hostile} for row in made["scores"]]
    sha = write(tmp_path / "runs" / "run", identified(made))
    verdict(tmp_path / "verdicts", sha, "reproduced", flags=[hostile])
    site = tmp_path / "site"
    build_site(tmp_path / "runs", site, verdicts=tmp_path / "verdicts")
    found = pages(site)
    assert len(found) == 1 + 2 + 1 + 1
    for name, page in found.items():
        assert re.fullmatch(r"[a-z]+(/[a-z0-9-]+)?\.html", name)
        assert len(page.all("script")) == 2
        assert len(page.all("style")) == len(page.all("title")) == 1
        assert not page.all("img", "svg")
        assert not [key for element in page.elements for key in element.attributes if key.startswith("on")]
        assert all(re.match(r"\.\./|#|[a-z]", a.attributes["href"]) for a in page.all("a"))
        assert not [a for a in page.all("a") if a.attributes["href"].lower().startswith("javascript")]
        raw = (site / name).read_text("utf-8")
        block = raw[raw.index('id="data">') + len('id="data">') :]
        assert not {"<", ">", "&"} & set(block[: block.index("</script>")])
        assert hostile in page.root.text
        assert any(hostile in str(value) for row in data(page)["rows"] for value in row) or data(page)["words"]


def test_so_many_rows_stand_in_the_page_and_all_in_its_data(tmp_path, monkeypatch):
    monkeypatch.setattr(table_module, "AT_ONCE", 3)
    monkeypatch.setattr("mitozoo.leaderboard.pages.AT_ONCE", 3)
    for number in range(8):
        write(tmp_path / "runs" / f"{number}", document(f"encoder-{number}", (0.5 + number / 20, 0.5, 0.9)))
    build_site(tmp_path / "runs", tmp_path / "site")
    [board] = [page for name, page in pages(tmp_path / "site").items() if name.startswith("boards/")]
    assert [row[0] for row in rows(board)] == ["encoder-7", "encoder-6", "encoder-5"]
    assert len(data(board)["rows"]) == 8
    assert "Rows 1 to 3 of 8" in board.root.text
    assert "Without JavaScript the first 3 rows show." in board.root.text
    [table] = board.all("table")
    assert (table.attributes["data-rows"], table.attributes["data-at-once"]) == ("8", "3")


def test_a_site_takes_the_place_of_a_site_and_of_nothing_else(results, tmp_path):
    site = tmp_path / "site"
    build_site(results / "runs", site)
    (site / "stale.html").touch()
    build_site(results / "runs", site)
    assert not (site / "stale.html").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]
    (site / MARKER).unlink()
    with pytest.raises(DataError, match="holds other files, which a site would replace"):
        build_site(results / "runs", site)
    assert (site / "index.html").is_file()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is no folder"):
        build_site(results / "runs", tmp_path / "file")


def test_a_refusal_leaves_the_former_site_alone(results, tmp_path):
    build_site(results / "runs", tmp_path / "site")
    before = (tmp_path / "site" / "index.html").read_bytes()
    write(tmp_path / "bad" / "a", document("one"))
    write(tmp_path / "bad" / "b", document("other") | {"run_id": "0" * 64})
    with pytest.raises(VerificationError, match=r"^b/result\.json: run_id is recorded as"):
        build_site(tmp_path / "bad", tmp_path / "site")
    assert (tmp_path / "site" / "index.html").read_bytes() == before
    found = build_site(tmp_path / "bad", tmp_path / "site", skip_refused=True)
    assert (found.entries, [one.file for one in found.refused]) == (1, ["b/result.json"])
    write(tmp_path / "all-bad" / "c", document() | {"run_id": "0" * 64})
    with pytest.raises(DataError, match="there is nothing to show"):
        build_site(tmp_path / "all-bad", tmp_path / "site", skip_refused=True)


def test_many_refusals_are_told_in_few_words(tmp_path):
    for number in range(9):
        write(tmp_path / "runs" / f"{number}", document(f"{number}") | {"run_id": "0" * 64})
    with pytest.raises(VerificationError, match="; and 4 more\n"):
        build_site(tmp_path / "runs", tmp_path / "site")
    assert not (tmp_path / "site").exists()
