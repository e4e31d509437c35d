"""Pages that are watched for as long as a test looks at them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page


@contextmanager
def watched(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Give a function that opens a file in a tab of its own.

    In the end nothing may have been asked for outside that file, or the folder that was named with it, and nothing
    complained of: no error or warning in the console, no exception, no dialog.
    """
    asked: list[str] = []
    complaints: list[str] = []
    allowed: list[str] = ["data:"]

    def opened(path: Path, *, within: Path | None = None, width: int = 1440, dark: bool = False, **how: Any) -> Page:
        allowed.append((within or path).as_uri())
        how |= {"viewport": {"width": width, "height": 900}, "color_scheme": "dark" if dark else "light"}
        context = stack.enter_context(browser.new_context(offline=True, **how))
        context.on("request", lambda request: asked.append(request.url))
        context.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page = context.new_page()
        page.goto(path.as_uri())
        return page

    with ExitStack() as stack:
        yield opened
    abroad = [url for url in asked if not url.startswith(tuple(allowed))]
    assert not abroad, f"asked for: {abroad}"
    assert not complaints, f"complained: {complaints}"
