"""`describe NAME`: what a dataset holds, counted from its label files, and which of its images are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mitozoo.cli.options import LocalPath, json_option
from mitozoo.cli.tables import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@click.command()
@click.argument("name")
@click.option("--data", type=LocalPath(), metavar="DIR", help="The folder of the dataset's files.")
@json_option
def describe(*, name: str, data: Path | None, as_json: bool) -> None:
    """Count the cells of dataset NAME by class, domain, split and group; its images need not be there.

    NAME may be the path of a table of your own cells.
    """
    from mitozoo.data.describe import describe_dataset
    from mitozoo.engine.find_dataset import find_data

    found = find_data(name, data)
    description = describe_dataset(found.spec, found.folder)
    if as_json:
        print_json(description)
        return
    _print(description)


def _print(found: Mapping[str, Any]) -> None:
    images, groups, votes = found["images"], found["groups"], found["votes"]
    missing = ", ".join(images["first_missing"])
    more = ", ..." if images["missing"] > len(images["first_missing"]) else ""
    share = "" if groups["largest_share"] is None else f", the largest with {groups['largest_share']:.1%} of the cells"
    facts = [
        ("dataset", found["dataset"]),
        ("labels", found["source"]),
        ("task", f"{found['positive_class']} against {found['negative_class']}"),
        ("not evaluated", found["not_for_eval"]),
        (
            "images",
            f"{images['named']:,} named, {images['with_cells']:,} with cells, {images['present']:,} in the folder",
        ),
        ("missing", f"{images['missing']:,}: {missing}{more}" if images["missing"] else ""),
        (
            "groups",
            f"{groups['total']:,} ({groups['level']}), {groups['with_positives']:,} with positives, "
            f"{groups['with_one_class']:,} with one class only{share}",
        ),
        ("votes", f"{votes['cells']:,} cells with several, {votes['unanimous']:,} unanimous" if votes["cells"] else ""),
    ]
    print_table(("WHAT", "FOUND"), [fact for fact in facts if fact[1]])
    click.echo()
    headers = ("PART", "VALUE", "SPLIT", "IMAGES", "GROUPS", "POSITIVE", "HARD", "OTHER", "IGNORED")
    print_table(headers, list(_lines(found)))


def _lines(found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    everything = {"images": found["images"]["with_cells"], "groups": found["groups"]["total"]} | found["classes"]
    yield _line("all", "", "", everything)
    for side, counts in found["split"].items():
        yield _line("all", "", side, counts)
    for domain, values in found["domains"].items():
        for value, counts in values.items():
            yield _line(domain, value, "", counts)
            for side, part in counts["split"].items():
                yield _line(domain, value, side, part)


def _line(part: str, value: str, side: str, counts: Mapping[str, Any]) -> tuple[str, ...]:
    kinds = [f"{counts[kind]:,}" if counts[kind] else "" for kind in ("positive", "hard", "other", "ignored")]
    return part, value, side, f"{counts['images']:,}", f"{counts['groups']:,}", *kinds
