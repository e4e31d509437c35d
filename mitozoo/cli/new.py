"""`mitozoo new`: write a plugin that installs and passes its checks at once, for its author to fill in."""

from __future__ import annotations

import re
from pathlib import Path

import click

from mitozoo.errors import MitozooError

TEMPLATES = Path(__file__).parent / "templates"
#: Of a model whose name is also a distribution's: letters and digits, with single dots, hyphens or underscores between.
NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


@click.group()
def new() -> None:
    """Write a plugin to start from."""


@new.command()
@click.argument("name")
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), default=Path(), metavar="DIR",
    help="Where to put its folder; here, if not said.",
)  # fmt: skip
def model(*, name: str, into: Path) -> None:
    """Write a plugin for the model NAME: a folder with pyproject.toml, one module, a README and one test."""
    from mitozoo.storage import write_folder_whole

    files = render_model(name)
    _require_free_name(name)
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


def distribution_name(name: str) -> str:
    """Return the name of the distribution, and of its folder, for a model's name."""
    from mitozoo.plugins.discovery import normalise

    return f"mitozoo-plugin-{normalise(name)}"


def render_model(name: str) -> dict[str, str]:
    """Return the files of a plugin for one model, by path.

    Raises:
        MitozooError: the name cannot be a model's and a distribution's.
    """
    from string import Template

    if not NAME.fullmatch(name):
        likely = re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-._")
        meant = f"Did you mean '{likely}'? " if NAME.fullmatch(likely) else ""
        raise MitozooError(
            f"'{name}' cannot be a model's name",
            hint=f"{meant}A name is of lower-case letters and digits, with single '-', '.' or '_' between.",
        )
    distribution = distribution_name(name)
    words = {
        "name": name,
        "slug": distribution.removeprefix("mitozoo-plugin-"),
        "module": distribution.replace("-", "_"),
    }
    files = {
        "pyproject.toml": "pyproject.toml", f"{words['module']}.py": "module.py", "README.md": "README.md",
        "test_plugin.py": "test_plugin.py",
    }  # fmt: skip
    return {
        path: Template((TEMPLATES / "model" / f"{source}.template").read_text(encoding="utf-8")).substitute(words)
        for path, source in files.items()
    }


def _require_free_name(name: str) -> None:
    """Refuse a name that an installed plugin offers: with two owners it would work for neither."""
    from mitozoo.plugins.registry import load_registry

    if taken := load_registry().find_model(name):
        raise MitozooError(
            f"'{name}' is the name of a model already, of {taken.plugin}", hint="Take another name: both would lose it."
        )
