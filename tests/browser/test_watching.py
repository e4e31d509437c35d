"""What these tests watch for is seen where it is there."""

from __future__ import annotations

import pytest
from looks import faint_words_of_drawings, sticking_out, violations
from watching import watched

HEAD = '<!DOCTYPE html><html lang="en"><head><title>A page</title></head><body>'


@pytest.mark.parametrize(("harm", "told"), [
    ('<img alt="" src="http://127.0.0.1:9/picture">', "asked for: .*http://127.0.0.1:9/picture"),
    ("<script>fetch('http://127.0.0.1:9/data').catch(() => {})</script>", "asked for: .*http://127.0.0.1:9/data"),
    ('<link rel="stylesheet" href="../elsewhere.css">', "asked for: .*elsewhere.css"),
    ("<script>console.warn('odd')</script>", "complained: .*odd"),
    ("<script>throw new Error('gone')</script>", "complained: .*gone"),
    ("<script>alert('taken')</script>", "complained: .*dialog: taken"),
])  # fmt: skip
def test_what_a_page_asks_for_and_complains_of(harm, told, chromium, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(f"{HEAD}{harm}</body></html>")
    with pytest.raises(AssertionError, match=told), watched(chromium) as opened:
        opened(path).wait_for_load_state("networkidle")


def test_what_cannot_be_read(visit, tmp_path):
    path = tmp_path / "page.html"
    words = [(8, "#888"), (30, "#777"), (52, "#fff")]
    drawn = "".join(f'<text x="4" y="{y + 8}" fill="{ink}">{ink}</text>' for y, ink in words)
    path.write_text(f"""{HEAD}<main><h1>Words</h1><p style="color: #999">faint</p><p>plain</p><input>
        <svg width="90" height="70"><rect y="44" width="90" height="26" fill="#000"/>{drawn}</svg>
        <div style="width: 400px">wide</div>
        <div style="overflow-x: auto"><div style="width: 900px">within a frame</div></div></main></body></html>""")
    page = visit(path, width=360)
    assert [found.split(":")[0] for found in violations(page)] == ["color-contrast", "label"]
    assert [found.split(":")[0] for found in faint_words_of_drawings(page)] == ["#888", "#777"]
    assert sticking_out(page) == ["DIV  wide", "the page scrolls sideways"]
    page.set_viewport_size({"width": 1440, "height": 900})
    assert sticking_out(page) == []
