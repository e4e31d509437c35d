"""`mitozoo cache`: what is kept, how large it is, and how to be rid of it."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

import click

from mitozoo.cli.options import json_option
from mitozoo.errors import MitozooError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.embeddings.caches import CacheEntry

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
DAMAGED = 1


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def cache(context: click.Context, *, as_json: bool) -> None:
    """List the caches, the one used last first."""
    if context.invoked_subcommand is not None:
        return
    from mitozoo.cli.tables import print_json
    from mitozoo.embeddings.caches import list_caches
    from mitozoo.shared import shared_cache

    entries = list_caches()
    if as_json:
        print_json([_as_json(entry) for entry in entries])
        return
    _show(entries)
    total = sum(entry.bytes for entry in entries)
    click.echo(f"{_size(total)} in {len(entries)} folders", err=True)
    if (shared := shared_cache()) is not None:
        click.echo(
            f"embeddings are shared with other machines in {shared.place}; nothing there is ever removed", err=True
        )


@cache.command()
@click.option("--older-than", type=float, metavar="DAYS", help="Not used for so many days.")
@click.option("--model", metavar="NAME", help="Embeddings of this model.")
@click.option("--dataset", metavar="NAME", help="What holds cells of this dataset alone.")
@click.option("--to-size", metavar="SIZE", help="As much, least used first, as brings the caches down to it: 20GB.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("--yes", "-y", is_flag=True, help="Remove without asking.")
def prune(
    *, older_than: float | None, model: str | None, dataset: str | None, to_size: str | None, dry_run: bool, yes: bool
) -> None:
    """Remove embeddings and patches, which can be computed again; nothing else, nor what a live process holds."""
    from mitozoo.embeddings import caches

    if (older_than, model, dataset, to_size) == (None,) * 4:
        raise MitozooError(
            "nothing says what to remove", hint="Say --older-than DAYS, --model NAME, --dataset NAME or --to-size SIZE."
        )
    entries = caches.list_caches()
    size = None if to_size is None else _bytes_of(to_size)
    chosen = caches.choose(entries, days=older_than, model=model, dataset=dataset, to_bytes=size)
    _show(chosen)
    for entry in entries:
        if entry.held and entry.kind in caches.COMPUTED:
            click.echo(f"kept {entry.name}: a live process holds it", err=True)
    if dry_run:
        click.echo(f"{_size(sum(entry.bytes for entry in chosen))} would be freed", err=True)
        return
    if chosen and not yes:
        if not sys.stdin.isatty():
            raise MitozooError("nobody is there to be asked", hint="Say --yes to remove them.")
        click.confirm(f"Remove {len(chosen)} folders?", abort=True, err=True)
    click.echo(f"{_size(caches.prune(chosen))} freed", err=True)


@cache.command()
def verify() -> None:
    """Read all cached embeddings and patches, and name the files whose content is not what was written."""
    from mitozoo.embeddings.caches import COMPUTED, damaged, list_caches

    entries = list_caches()
    found = damaged(entries)
    for path in found:
        click.echo(f"damaged  {path}")
    if found:
        click.echo("What is damaged is never used: it is computed again when it is needed.", err=True)
        sys.exit(DAMAGED)
    click.echo(f"ok  {_size(sum(entry.bytes for entry in entries if entry.kind in COMPUTED))} read")


def _show(entries: Sequence[CacheEntry]) -> None:
    from mitozoo.cli.tables import print_table

    rows = [
        [entry.kind, entry.name, ", ".join(entry.datasets), _size(entry.bytes), _ago(entry.last_used),
         "held" if entry.held else ""]
        for entry in entries
    ]  # fmt: skip
    print_table(["KIND", "NAME", "CELLS OF", "SIZE", "LAST USED", ""], rows)


def _as_json(entry: CacheEntry) -> dict[str, object]:
    stated = {name: getattr(entry, name) for name in ("kind", "name", "datasets", "bytes", "last_used", "held")}
    return stated | {"path": str(entry.path)}


def _bytes_of(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?b)?", text.strip().lower())
    if match is None:
        raise MitozooError(f"--to-size is '{text}'; it must be a size such as 500MB or 20GB")
    return round(float(match[1]) * UNITS[match[2] or ""])


def _size(size: int) -> str:
    unit = next(unit for unit in ("tb", "gb", "mb", "kb", "") if size >= UNITS[unit] or not unit)
    return f"{size / UNITS[unit]:.3g} {unit.upper() or 'bytes'}" if unit != "kb" else f"{size / 1000:.0f} kB"


def _ago(moment: float) -> str:
    days = int((time.time() - moment) / 86_400)
    return "today" if days < 1 else "yesterday" if days == 1 else f"{days} days ago"
