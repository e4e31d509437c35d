"""What can be seen of a page in a browser: what axe objects to, words too faint to read, and what sticks out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: Of WCAG 2.0, 2.1 and 2.2.
LEVELS_A_AND_AA = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
#: Of these, what differs between light, dark and paper.
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}

STICKING_OUT = """() => {
  const scrolls = element => element && (
    ["auto", "scroll"].includes(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
  const found = [...document.body.querySelectorAll("*")].filter(element => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.right > document.documentElement.clientWidth + 1 && !scrolls(element.parentElement)
      && !element.closest("svg svg, svg *");
  }).map(element => `${element.tagName} ${element.className} ${element.textContent.slice(0, 40)}`);
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) found.push("the page scrolls sideways");
  return found;
}"""

#: Axe leaves out the words of drawings; beneath them lies a filled rectangle, or the nearest ground of an ancestor.
FAINT_IN_DRAWINGS = """() => {
  const channels = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const luminance = colour => channels(colour).slice(0, 3).map(each => each / 255)
    .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = element => {
    const colour = getComputedStyle(element).backgroundColor;
    if (channels(colour)[3] !== 0) return colour;
    return element.parentElement ? ground(element.parentElement) : "rgb(255, 255, 255)";
  };
  const found = [];
  for (const words of document.querySelectorAll("svg text")) {
    const box = words.getBoundingClientRect();
    if (!box.width) continue;
    const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
    const beneath = [...words.ownerSVGElement.querySelectorAll("rect")].filter(each => {
      const field = each.getBoundingClientRect();
      return field.left <= x && x <= field.right && field.top <= y && y <= field.bottom;
    }).pop();
    const under = luminance(beneath ? getComputedStyle(beneath).fill : ground(words.ownerSVGElement));
    const ink = luminance(getComputedStyle(words).fill);
    const contrast = (Math.max(under, ink) + 0.05) / (Math.min(under, ink) + 0.05);
    if (contrast < 4.5) found.push(`${words.textContent}: ${contrast.toFixed(2)}`);
  }
  return found;
}"""


def violations(page: Page, asked: dict[str, Any] = LEVELS_A_AND_AA) -> list[str]:
    """Return what axe-core finds against levels A and AA, each with the first place that it is found at."""
    answer = Axe().run(page, options={"runOnly": asked, "resultTypes": ["violations"]}).response
    assert answer["passes"], "axe looked at nothing"
    return [
        f"{found['id']}: {found['help']} ({len(found['nodes'])} times), first {found['nodes'][0]['html'][:200]}"
        for found in answer["violations"]
    ]


def faint_words_of_drawings(page: Page) -> list[str]:
    """Return the words of drawings that stand out from what is beneath them by less than 4.5 to 1."""
    assert page.locator("svg text").count(), "no drawing has words"
    return page.evaluate(FAINT_IN_DRAWINGS)


def sticking_out(page: Page) -> list[str]:
    """Return what is wider than the window, but for what scrolls inside a frame of its own."""
    return page.evaluate(STICKING_OUT)


def open_all(page: Page) -> None:
    """Unfold whatever is folded."""
    page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
