"""`mitozoo new`: write a plugin that installs and passes its checks at once, for its author to fill in."""

from __future__ import annotations

import re
from pathlib import Path

import click

from mitozoo.cli.options import LocalPath
from mitozoo.errors import MitozooError

TEMPLATES = Path(__file__).parent / "templates"
#: Of what has a distribution called after it: letters and digits, with single dots, hyphens or underscores between.
NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")

into_option = click.option(
    "--into", type=LocalPath(file_okay=False), default=Path(), metavar="DIR",
    help="Where to put its folder; here, if not said.",
)  # fmt: skip


@click.group()
def new() -> None:
    """Write a plugin to start from."""


@new.command()
@click.argument("name")
@into_option
def model(*, name: str, into: Path) -> None:
    """Write a plugin for the model NAME: a folder with pyproject.toml, one module, a README and one test."""
    _write("model", name, render_model(name), into)


@new.command()
@click.argument("name")
@into_option
def dataset(*, name: str, into: Path) -> None:
    """Write a plugin for the dataset NAME: a folder with pyproject.toml, one module, a README and one test."""
    _write("dataset", name, render_dataset(name), into)


def distribution_name(name: str) -> str:
    """Return the name of the distribution, and of its folder, for a model's or dataset's name."""
    from mitozoo.plugins.discovery import normalise

    return f"mitozoo-plugin-{normalise(name)}"


def render_model(name: str) -> dict[str, str]:
    """Return the files of a plugin for one model, by path.

    Raises:
        MitozooError: the name cannot be a model's and a distribution's.
    """
    return _render("model", name)


def render_dataset(name: str) -> dict[str, str]:
    """Return the files of a plugin for one dataset, by path.

    Raises:
        MitozooError: the name cannot be a dataset's and a distribution's.
    """
    return _render("dataset", name)


def _render(kind: str, name: str) -> dict[str, str]:
    from string import Template

    if not NAME.fullmatch(name):
        likely = re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-._")
        meant = f"Did you mean '{likely}'? " if NAME.fullmatch(likely) else ""
        raise MitozooError(
            f"'{name}' cannot be a {kind}'s name",
            hint=f"{meant}A name is of lower-case letters and digits, with single '-', '.' or '_' between.",
        )
    distribution = distribution_name(name)
    words = {
        "name": name,
        "slug": distribution.removeprefix("mitozoo-plugin-"),
        "module": distribution.replace("-", "_"),
    }
    files = {
        "pyproject.toml": "pyproject.toml", f"{words['module']}.py": f"{kind}/module.py",
        "README.md": f"{kind}/README.md", "test_plugin.py": "test_plugin.py",
    }  # fmt: skip
    return {
        path: Template((TEMPLATES / f"{source}.template").read_text(encoding="utf-8")).substitute(words)
        for path, source in files.items()
    }


def _write(kind: str, name: str, files: dict[str, str], into: Path) -> None:
    from mitozoo.storage import write_folder_whole

    _require_free_name(kind, name)
    folder = into / distribution_name(name)
    if folder.exists() or folder.is_symlink():
        raise MitozooError(
            f"{folder} exists, and nothing is overwritten", hint="Take another name, or say --into another folder."
        )
    with write_folder_whole(folder) as unfinished:
        for path, text in files.items():
            (unfinished / path).write_text(text, encoding="utf-8")
    click.echo(f"wrote {folder}: {', '.join(files)}")
    click.echo(f"Next: pip install -e {folder} && mitozoo check {name}; then search it for YOURS", err=True)


def _require_free_name(kind: str, name: str) -> None:
    """Refuse a name that an installed plugin offers: with two owners it would work for neither."""
    from mitozoo.plugins.registry import load_registry

    registry = load_registry()
    if taken := registry.find_model(name) if kind == "model" else registry.find_dataset(name):
        raise MitozooError(
            f"'{name}' is the name of a {kind} already, of {taken.plugin}",
            hint="Take another name: both would lose it.",
        )
