"""Generated pages and extras are those that follow from the plugins, the protocols and the commands of today."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from script_files import REPOSITORY, load_script

from mitozoo.cli import COMMANDS
from mitozoo.plugins.registry import load_registry
from mitozoo.protocols.presets import PRESETS

PLUGINS = sorted(file.parent.name for file in (REPOSITORY / "plugins").glob("*/pyproject.toml"))
generate = load_script("docs/generate.py")


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    return {path.name: text for path, text in generate.render().items()}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """Return a copy of the generated files that may be spoilt."""
    (tmp_path / "docs").mkdir()
    for path in generate.render():
        shutil.copy(path, tmp_path / path.relative_to(REPOSITORY))
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    return tmp_path


def test_every_generated_file_is_fresh():
    """In a process of its own: a command that a test called by itself keeps the help options that it had then."""
    script = [sys.executable, REPOSITORY / "docs" / "generate.py", "--check"]
    checked = subprocess.run(script, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_rendering_is_deterministic(rendered):
    assert {path.name: text for path, text in generate.render().items()} == rendered


def test_check_shows_what_is_stale_and_writes_nothing(elsewhere, capsys):
    page = elsewhere / "docs" / "cli.md"
    spoilt = page.read_text().replace("## mitozoo eval", "## mitozoo evil")
    page.write_text(spoilt)
    assert generate.main(["--check"]) == 1
    shown = capsys.readouterr().out
    assert "-## mitozoo evil" in shown
    assert "+## mitozoo eval" in shown
    assert page.read_text() == spoilt


def test_writing_mends_what_is_stale_or_missing_and_leaves_the_rest(elsewhere, capsys):
    generate.main([])
    (elsewhere / "docs" / "models.md").unlink()
    project = elsewhere / "pyproject.toml"
    project.write_text(project.read_text().replace('    "mitozoo-plugin-demo",\n', ""))
    capsys.readouterr()
    assert generate.main([]) == 0
    assert capsys.readouterr().out.splitlines() == ["wrote docs/models.md", "wrote pyproject.toml"]
    assert generate.main(["--check"]) == 0


def test_a_project_file_without_markers_is_refused():
    with pytest.raises(Exception, match="extras: end"):
        generate.project_file([], "[project]\n")


def test_every_model_has_one_row_that_says_what_its_spec_says(rendered):
    rows = [line.strip("| ").split(" | ") for line in rendered["models.md"].splitlines() if line.startswith("| ")]
    by_name = {re.sub(r"\[(.+?)\]\(.+\)", r"\1", row[0]): row for row in rows if len(row) == 11}
    models = [one for one in load_registry().models if one.plugin in PLUGINS]
    assert len(models) > 50
    assert by_name.keys() - {"model", "---"} == {one.spec.name for one in models}
    for one in models:
        row, spec = by_name[one.spec.name], one.spec
        assert row[1:4] == [str(spec.embed_dim), spec.pooling, str(spec.prefix_tokens)]
        assert row[4].startswith(f"{spec.preprocessing.size} px")
        assert (row[7] == "yes") == spec.gated
        assert ("disagree" in row[6]) == spec.license_conflict
        assert (row[10] == "-") == (not spec.unverified)


def test_what_is_not_here_is_no_model(rendered):
    section = rendered["models.md"].partition("## Not here, and why")[2]
    first_column = re.findall(r"^\| (.+?) \|", section, re.MULTILINE)
    named = {name.strip().lower() for cell in first_column for name in cell.split(",")}
    assert {"canvoi", "pathchat", "atlas", "virchow2g", "rudolfv (v1)", "prism", "titan (slide)"} <= named
    assert not named & {one.spec.name for one in load_registry().models}


def test_every_plugin_is_in_one_extra_and_a_source_of_the_workspace(rendered):
    project = tomllib.loads(rendered["pyproject.toml"])
    extras = project["project"]["optional-dependencies"]
    assert sorted(extras["foundation"] + extras["baselines"] + extras["datasets"] + extras["trackers"]) == PLUGINS
    assert extras["all"] == ["mitozoo[foundation,baselines,datasets]"]
    assert project["tool"]["uv"]["sources"] == {name: {"workspace": True} for name in ["mitozoo", *PLUGINS]}
    assert "mitozoo-plugin-uni" in extras["foundation"]
    assert {"mitozoo-plugin-imagenet", "mitozoo-plugin-controls"} <= set(extras["baselines"])
    assert {"mitozoo-plugin-demo", "mitozoo-plugin-ami-br"} <= set(extras["datasets"])
    assert extras["trackers"] == [f"mitozoo-plugin-{name}" for name in ("mlflow", "tensorboard", "wandb")]


def test_every_parameter_of_every_protocol_is_explained(rendered):
    page = rendered["protocols.md"]
    for protocol in PRESETS.values():
        section = page.partition(f"## {protocol.name}@{protocol.version}\n")[2].partition("\n## ")[0]
        assert protocol.hash in section
        explained = dict(re.findall(r"^\| `(\w+)` \| `.*?` \| (.+) \|$", section, re.MULTILINE))
        assert explained.keys() == protocol.parameters().keys() - {"kind"}


def test_every_command_and_dataset_is_described(rendered):
    assert {f"## mitozoo {command}" for command in COMMANDS} <= set(rendered["cli.md"].splitlines())
    datasets = {f"## {one.spec.name}" for one in load_registry().datasets if one.plugin in PLUGINS}
    assert datasets <= set(rendered["datasets.md"].splitlines())


def test_schemas_are_published_as_they_are_kept(rendered):
    from mitozoo.results.schema import schema

    published = {name: json.loads(text) for name, text in rendered.items() if name.endswith(".schema.json")}
    assert published["result.schema.json"] == schema()
    assert published["submission.schema.json"]["title"] == "mitozoo-submission/1"
    assert published["verdict.schema.json"]["title"] == "mitozoo-verdict/1"


def test_pages_name_no_machine_and_no_absolute_link(rendered):
    for name, text in rendered.items():
        assert str(Path.home()) + "/" not in text, name
        assert str(REPOSITORY) not in text, name
        assert "](/" not in text, name
