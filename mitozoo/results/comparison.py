"""A comparison as a person meets it in a notebook: each dataset's paired differences, as a table."""

from __future__ import annotations

import html
from typing import Any

from mitozoo.results.forest import branches, chance


class Comparison(dict[str, Any]):
    """What `compare` returns: JSON values, which show themselves in a notebook."""

    def tables(self) -> list[tuple[str, list[str], list[list[str]]]]:
        """Return a title, headers and rows for each dataset: the differences by the comparison's metric."""
        metric: str = self["metric"]
        words = metric.replace("_", " ")
        return [
            (
                f"{words} on {each['basis']['dataset']}, label fraction {each['basis']['fraction']:g}",
                ["first - second", "difference", "95 % interval", "p (Holm)"],
                [
                    [found.name, f"{found.value:+.3f}", f"[{found.low:+.3f}, {found.high:+.3f}]",
                     chance(found.p).removeprefix("p ")]
                    for found in branches(each, metric)
                ],
            )
            for each in self["comparisons"]
        ]  # fmt: skip

    def _repr_html_(self) -> str:
        """Show each dataset's differences, and why there are no ranks where there are none."""
        shown = []
        for each, (title, headers, rows) in zip(self["comparisons"], self.tables(), strict=True):
            head = "".join(f"<th>{html.escape(header)}</th>" for header in headers)
            body = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows)
            note = f"<p>{html.escape(each['no_ranks'])}</p>" if each["no_ranks"] else ""
            shown.append(f"<table><caption>{html.escape(title)}</caption><tr>{head}</tr>{body}</table>{note}")
        return "".join(shown)
