"""The site leads to every page, and news fragments are named so that a release can gather them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
SITE = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())
NEWS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["towncrier"]
KINDS = [kind["directory"] for kind in NEWS["type"]]
FRAGMENTS = sorted(file for file in (DOCS / "news").iterdir() if file.name != "README.md")


def pages(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [page for part in (nav.values() if isinstance(nav, dict) else nav) for page in pages(part)]


def test_every_page_is_in_the_navigation_once():
    assert sorted(pages(SITE["nav"])) == sorted(file.name for file in DOCS.glob("*.md"))


def test_the_build_is_strict_and_fetches_nothing():
    assert SITE["strict"] is True
    assert SITE["theme"]["font"] is False
    assert not {"extra_css", "extra_javascript"} & SITE.keys()
    assert {*SITE["validation"]["links"].values(), *SITE["validation"]["nav"].values()} == {"warn"}


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda file: file.name)
def test_fragment_is_named_by_issue_and_kind_and_holds_sentences(fragment):
    assert re.fullmatch(rf"(\d+|\+[a-z0-9]+(-[a-z0-9]+)*)\.({'|'.join(KINDS)})\.md", fragment.name)
    assert fragment.read_text().strip().endswith((".", "`"))


@pytest.mark.parametrize("name", ["42.news.md", "model.md", "some words.fix.md", "42.fix.txt"])
def test_other_names_are_refused(name):
    with pytest.raises(AssertionError):
        test_fragment_is_named_by_issue_and_kind_and_holds_sentences(DOCS / "news" / name)


def test_the_readme_of_the_news_explains_every_kind():
    explained = re.findall(r"^\| `(\w+)` \|", (DOCS / "news" / "README.md").read_text(), re.MULTILINE)
    assert sorted(explained) == sorted(KINDS)
    assert "numbers change" in (DOCS / "news" / "README.md").read_text()


def test_the_changelog_has_the_line_that_releases_follow():
    assert NEWS["start_string"] in (REPOSITORY / NEWS["filename"]).read_text()
