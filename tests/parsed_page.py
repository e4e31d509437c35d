"""A report as a parser that is not a browser sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "input", "br", "link", "hr"}
DRAWN_EMPTY = {"polyline", "circle", "rect"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    children: list[Element] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def all(self, *tags: str) -> list[Element]:
        """Return all elements below with one of these tags."""
        found = []
        for child in self.children:
            found += [child] * (child.tag in tags) + child.all(*tags)
        return found

    @property
    def text(self) -> str:
        return "".join(self.words) + "".join(child.text for child in self.children)


class Page(HTMLParser):
    """The tree of a page; an element that is not closed, or closed twice, is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element("", {})
        self.elements: list[Element] = []
        self.feed(text)
        self.close()
        assert self.at is self.root, f"<{self.at.tag}> is never closed"

    def handle_starttag(self, tag, attributes):
        element = Element(tag, {key: value or "" for key, value in attributes}, self.at)
        self.at.children.append(element)
        self.elements.append(element)
        if tag not in VOID:
            self.at = element

    def handle_startendtag(self, tag, attributes):
        assert tag in VOID | DRAWN_EMPTY
        element = Element(tag, dict(attributes), self.at)
        self.at.children.append(element)
        self.elements.append(element)

    def handle_endtag(self, tag):
        assert tag == self.at.tag, f"</{tag}> ends <{self.at.tag}>"
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.words.append(data)

    def all(self, *tags: str) -> list[Element]:
        return self.root.all(*tags)
