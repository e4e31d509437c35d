"""Every test that the page on reliability names exists."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_every_test_that_the_page_names_exists():
    page = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > 30
    for file, name in named:
        code = (REPOSITORY / file).read_text(encoding="utf-8")
        assert not name or f"\ndef {name}(" in code, f"{file}::{name}"
