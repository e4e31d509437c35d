"""`mitozoo leaderboard`: many results as a static site."""

from __future__ import annotations

from pathlib import Path

import click

from mitozoo.cli.options import LocalPath


@click.group()
def leaderboard() -> None:
    """Build a static site of results, and look at it."""


@leaderboard.command()
@click.argument("runs", type=LocalPath(), metavar="RUNS")
@click.option(
    "--output", "-o", "site", type=LocalPath(), default=Path("site"), show_default=True, metavar="DIR",
    help="Folder of the site; a former site there is replaced.",
)  # fmt: skip
@click.option(
    "--verdicts", type=LocalPath(), metavar="DIR",
    help="Folder of the verdicts that 'mitozoo submission check --verdict FILE' wrote.",
)  # fmt: skip
@click.option("--skip-refused", is_flag=True, help="Leave out documents that are not what they must be.")
def build(*, runs: Path, site: Path, verdicts: Path | None, skip_refused: bool) -> None:
    """Write a site of all results below the folder RUNS: run folders or submission bundles, at any depth.

    Each dataset, protocol and set of conditions has a table of its own. The site needs no network and no server.
    """
    from mitozoo.leaderboard.site import build_site

    built = build_site(runs, site, verdicts=verdicts, skip_refused=skip_refused)
    for refusal in built.refused:
        click.echo(f"left out {refusal.reason}", err=True)
    click.echo(f"{built.entries:,} entries of {built.models:,} models in {built.boards:,} tables", err=True)
    click.echo(f"leaderboard: {built.folder / 'index.html'}")


@leaderboard.command()
@click.argument("site", type=LocalPath(), metavar="SITE")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
def serve(*, site: Path, port: int) -> None:
    """Serve the folder SITE to this machine alone, until Ctrl-C."""
    from mitozoo.leaderboard.serving import server_of

    with server_of(site, port) as server:
        click.echo(f"http://{server.server_address[0]!s}:{server.server_port}/")
        server.serve_forever()
