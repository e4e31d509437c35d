"""Write what follows from plugins, protocols and commands: four pages, three schemas, the extras in pyproject.toml."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import click
from generated_pages import cli_page, datasets_page, models_page, protocols_page, schemas
from plugin_families import families

from mitozoo.storage import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plugin_families import Family

ROOT = Path(__file__).resolve().parent.parent
GENERATED = "<!-- Written by docs/generate.py: change what it follows from, then run `make docs`. -->\n\n"


def project_file(plugins: Sequence[Family], text: str) -> str:
    """Return pyproject.toml with its generated parts made anew: the extras, and where the workspace finds plugins."""
    lists = {
        extra: [plugin.distribution for plugin in plugins if plugin.extra == extra]
        for extra in ("foundation", "baselines", "datasets")
    }
    lists["all"] = [f"mitozoo[{','.join(lists)}]"]
    lists["trackers"] = [plugin.distribution for plugin in plugins if plugin.extra == "trackers"]  # for those who track
    extras = "".join(_toml_list(key, items) for key, items in lists.items())
    sources = "".join(f"{plugin.distribution} = {{ workspace = true }}\n" for plugin in plugins)
    return _between_markers(_between_markers(text, "extras", extras), "sources", sources)


def _toml_list(key: str, items: Sequence[str]) -> str:
    return "".join([f"{key} = [\n", *(f'    "{item}",\n' for item in items), "]\n"])


def _between_markers(text: str, name: str, body: str) -> str:
    begin, end = f"# {name}: written by docs/generate.py\n", f"# {name}: end\n"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise click.ClickException(f"pyproject.toml must hold '{begin.strip()}' and '{end.strip()}' once each")
    return text[: text.index(begin)] + begin + body + text[text.index(end) :]


def render() -> dict[Path, str]:
    """Return every generated file, whole."""
    plugins = families()
    project = ROOT / "pyproject.toml"
    return {
        ROOT / "docs" / "models.md": GENERATED + models_page(plugins),
        ROOT / "docs" / "datasets.md": GENERATED + datasets_page(plugins),
        ROOT / "docs" / "protocols.md": GENERATED + protocols_page(),
        ROOT / "docs" / "cli.md": GENERATED + cli_page(),
        **{ROOT / "docs" / f"{name}.schema.json": text for name, text in schemas().items()},
        project: project_file(plugins, project.read_text(encoding="utf-8")),
    }


def differences(rendered: dict[Path, str]) -> str:
    """Return a unified diff from the files as they stand to what they should be; empty where all are fresh."""
    parts = []
    for path, fresh in rendered.items():
        name = path.relative_to(ROOT).as_posix()
        standing = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = standing.splitlines(keepends=True), fresh.splitlines(keepends=True)
        parts += difflib.unified_diff(*lines, f"{name} as it stands", f"{name} as it should be")
    return "".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what is stale; with --check, only show it and return 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 with a diff where a file is stale")
    check: bool = parser.parse_args(arguments).check
    rendered = render()
    stale = differences(rendered)
    if stale and check:
        click.echo(stale + "\nStale: run `python docs/generate.py`.")
        return 1
    for path, fresh in rendered.items():
        if not path.exists() or path.read_text(encoding="utf-8") != fresh:
            with write_whole(path) as unfinished:
                unfinished.write_text(fresh, encoding="utf-8")
            click.echo(f"wrote {path.relative_to(ROOT).as_posix()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
