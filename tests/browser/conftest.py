"""Headless Chromium, and the tiny zoo."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from tiny_zoo import zoo, zoo_site
from watching import watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

__all__ = ["zoo", "zoo_site"]

PROGRAMS = (
    "chromium", "chromium-browser", "google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start Chromium; where there is none the tests are skipped, but continuous integration must have it."""
    program = os.environ.get("MITOZOO_CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("browser tests need Chromium: install it, or point MITOZOO_CHROMIUM to it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver, driver.chromium.launch(executable_path=program) as browser:
        yield browser


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a file in a tab, which is watched until the test ends."""
    with watched(chromium) as opened:
        yield opened
