"""BibTeX of everything that a run used, made of what its record states alone: no author or title is ever guessed.

An entry bears the name of the thing that was used, and the DOI, arXiv number or address of where it is described;
a reference manager fetches authors and title of the paper by these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import metadata
from typing import TYPE_CHECKING, Any

from mitozoo.protocols.references import sources_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ARXIV = re.compile(r"https?://(?:www\.)?arxiv\.org/(?:abs|pdf)/(\d{2})(\d{2}\.\d{4,5})(v\d+)?(?:\.pdf)?", re.IGNORECASE)
DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)(10\.\d{4,9}/\S+)", re.IGNORECASE)
#: What TeX takes for a command, and how to write it. Braces cannot be escaped without unbalancing an entry.
_TEX = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_"}
    | {"\\": "/", "{": "(", "}": ")", "~": "-", "^": "", "`": "'", "\n": " ", "\r": " "}
)


@dataclass(frozen=True)
class Used:
    """One thing that a run used.

    Attributes:
        role: 'model', 'dataset', 'protocol' or 'software'.
        name: what it is called.
        reference: where it is described, as its record says; '' where it does not.
        version: of it, or of the plugin that offers it; '' not known.
    """

    role: str
    name: str
    reference: str
    version: str = ""


def everything_used(document: dict[str, Any], mitozoo_version: str = "") -> list[Used]:
    """Return the model, the datasets, the protocol's sources and mitozoo, in this order.

    Args:
        document: a result document.
        mitozoo_version: that made the run; '' not known.
    """
    model, dataset, protocol = (document[part] for part in ("model", "dataset", "protocol"))
    tested = dataset.get("tested_on", [])
    own_name = document["conditions"]["trained_on"] or dataset["name"]
    return [
        Used("model", model["name"], model.get("reference") or "", _offered_by(model)),
        Used("dataset", own_name, dataset.get("reference") or "", _offered_by(dataset)),
        *(Used("dataset", one["name"], one.get("reference") or "", _offered_by(one)) for one in tested),
        *(Used("protocol", protocol["name"], source) for source in sources_of(protocol["name"])),
        Used("software", "mitozoo", "", mitozoo_version),
    ]


def bibtex(used: list[Used]) -> str:
    """Return one entry for each thing, ending in a line break; one without a source is a remark in its place."""
    keys: set[str] = set()
    return "\n".join(_entry(one, _key(one, keys)) for one in used)


def _offered_by(part: dict[str, Any]) -> str:
    return f"{part['plugin']} {part['version']}" if part.get("plugin") else ""


def _key(used: Used, taken: set[str]) -> str:
    """Return a citation key that no earlier entry has."""
    plain = re.sub(r"[^a-z0-9]+", "-", f"{used.role}-{used.name}".lower()).strip("-")
    number, key = 1, plain
    while key in taken:
        number += 1
        key = f"{plain}-{number}"
    taken.add(key)
    return key


def _entry(used: Used, key: str) -> str:
    if used.role == "software":
        fields = dict(_software(used.version))
    elif used.reference:
        fields = {"title": f"{{{_text(used.name)}}}", **dict(_place(used.reference))}
        fields["note"] = _text(f"{used.role}{f', {used.version}' if used.version else ''}")
    else:
        told = f"{used.role} {used.name}".translate(_TEX)
        return f"% {told}: its record names no source; ask whoever it comes from how to cite it\n"
    return f"@misc{{{key},\n" + "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items()) + "}\n"


def _place(reference: str) -> Iterator[tuple[str, str]]:
    """Yield the fields that an address determines: an arXiv number tells the year too."""
    if found := ARXIV.fullmatch(reference):
        year, number, _ = found.groups()
        yield from (("eprint", year + number), ("archiveprefix", "arXiv"), ("year", f"20{year}"))
        yield "doi", f"10.48550/arXiv.{year}{number}"
    elif found := DOI.fullmatch(reference):
        yield "doi", _address(found[1])
    if reference.startswith(("http://", "https://")):
        yield "url", _address(reference)
    elif not DOI.fullmatch(reference):
        yield "howpublished", _text(reference)


def _software(version: str) -> Iterator[tuple[str, str]]:
    """Yield what mitozoo's own metadata say."""
    own = metadata("mitozoo")
    if "Author" in own:
        yield "author", f"{{{_text(own['Author'])}}}"
    yield "title", _text(f"mitozoo: {own['Summary']}")
    yield "version", _text(version or own["Version"])
    yield "note", "software"


def _text(words: str) -> str:
    return " ".join(words.translate(_TEX).split())


def _address(url: str) -> str:
    """Return an address with whatever would end or break an entry written as %XX."""
    return re.sub(r"[\s{}\\`\"<>]", lambda found: f"%{ord(found[0]):02X}", url)
