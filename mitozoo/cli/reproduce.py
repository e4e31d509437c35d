"""`mitozoo reproduce`: repeat what was published, and say how far off the repetition is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mitozoo.cli.options import LocalPath, device_options, json_option, log_options, runs_option
from mitozoo.errors import MitozooError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.engine.at_hand import AtHand
    from mitozoo.engine.published import PublishedRow, PublishedValue
    from mitozoo.engine.reproduce import Repeated


@click.command()
@click.argument("name", required=False)
@click.option("--list", "listed", is_flag=True, help="List what can be repeated here, and what the others lack.")
@click.option(
    "--data", multiple=True, metavar="NAME=DIR", help="Where a dataset's files lie, such as midogpp=data/midogpp."
)
@click.option(
    "--records", type=LocalPath(dir_okay=False), metavar="FILE",
    help="Published values of your own, in the form of mitozoo/engine/published.toml.",
)  # fmt: skip
@device_options
@runs_option
@log_options
@json_option
def reproduce(
    *, name: str | None, listed: bool, data: Sequence[str], records: Path | None, as_json: bool, **asked: Any
) -> None:
    """Repeat a published evaluation and compare: NAME is TABLE/ROW, or TABLE for all of its rows.

    A value is within or outside its stated tolerance (exit code 1); where what the authors did had to be inferred, the
    difference is printed and nothing is judged.
    """
    from mitozoo.engine.at_hand import AtHand
    from mitozoo.engine.published import find_rows, published_rows

    folders = dict(map(_folder, data))
    rows = published_rows(records)
    rows = rows if name is None else find_rows(rows, name)
    if name is None and not listed:
        raise MitozooError("which published value is to be repeated?", hint="List them: mitozoo reproduce --list")
    here = AtHand(folders)
    if listed:
        _list(rows, here, as_json)
        return
    _repeat(rows, here, as_json, asked)


def _repeat(rows: Sequence[PublishedRow], here: AtHand, as_json: bool, asked: dict[str, Any]) -> None:
    from mitozoo.cli.progress import Bars
    from mitozoo.cli.tables import print_json
    from mitozoo.engine.reproduce import reproduce as repeat

    lacking = {row.name: here.lacks(row) for row in rows}
    possible = [row for row in rows if not lacking[row.name]]
    for row in rows:
        for lack in lacking[row.name]:
            click.echo(f"{row.name} cannot run here: {lack}", err=True)
    if not possible:
        raise MitozooError("nothing of it can be repeated here", hint="What can: mitozoo reproduce --list")
    done: list[Repeated] = []
    for row in possible:
        done += repeat(row, here.folders, **({} if row.control else asked | {"progress": Bars()}))
    if as_json:
        print_json([_as_json(one) for one in done])
    else:
        _show(done, possible)
    if any(one.verdict == "outside" for one in done):
        click.get_current_context().exit(1)


def _show(done: Sequence[Repeated], rows: Sequence[PublishedRow]) -> None:
    from mitozoo.cli.tables import print_table

    headers = ("NAME", "METRIC", "PUBLISHED", "TOLERANCE", "HERE", "DIFFERENCE", "VERDICT")
    print_table(
        headers,
        [
            (one.name, _words(one.published.metric), _published(one.published),
             "" if one.published.tolerance is None else f"{one.published.tolerance:g}", f"{one.here:.4f}",
             f"{one.difference:+.4f}", one.verdict)
            for one in done
        ],
    )  # fmt: skip
    for row in rows:
        click.echo(f"{row.name}: {row.source} ({row.reference}); {row.basis}", err=True)
        why = f"tolerance: {row.tolerance_basis}" if row.is_judged else "not judged, since it is inferred: "
        inferred = "; ".join(row.inferred) or f"what protocol {row.protocol} lists"
        click.echo(f"  {why}" + ("" if row.is_judged else inferred), err=True)


def _list(rows: Sequence[PublishedRow], here: AtHand, as_json: bool) -> None:
    from mitozoo.cli.tables import print_json, print_table

    lacking = {row.name: here.lacks(row) for row in rows}
    if as_json:
        print_json([_listed(row, lacking[row.name]) for row in rows])
        return
    print_table(
        ("NAME", "PUBLISHED", "JUDGED", "HERE"),
        [
            (row.name, ", ".join(f"{_words(one.metric)} {_published(one)}" for one in row.values),
             "yes" if row.is_judged else "no", "; ".join(lacking[row.name]) or "can run")
            for row in rows
        ],
    )  # fmt: skip
    possible = sum(not lacks for lacks in lacking.values())
    click.echo(f"{possible} of {len(rows)} can run here", err=True)


def _listed(row: PublishedRow, lacks: list[str]) -> dict[str, Any]:
    import dataclasses

    return dataclasses.asdict(row) | {"judged": row.is_judged, "missing": lacks}


def _as_json(one: Repeated) -> dict[str, Any]:
    published = one.published
    return {
        "name": one.name, "metric": published.metric, "published": published.value, "sd": published.sd,
        "tolerance": published.tolerance, "here": one.here, "difference": one.difference, "verdict": one.verdict,
    }  # fmt: skip


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _published(value: PublishedValue) -> str:
    return f"{value.value:g}" + ("" if value.sd is None else f" +- {value.sd:g}")


def _folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or not name or not folder:
        raise MitozooError(f"--data is '{text}'; it must be NAME=DIR, such as midogpp=data/midogpp")
    return name.strip(), Path(folder)
