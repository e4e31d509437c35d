"""`mitozoo new model`: what it writes, what it refuses, and that the plugins of this repository look the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from tiny_distributions import run_mitozoo

from mitozoo.cli.new import render_model
from mitozoo.errors import MitozooError
from mitozoo.plugins.specs import ModelSpec

REPOSITORY = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in (REPOSITORY / "plugins").glob("*/pyproject.toml"))


def test_it_writes_four_files_and_says_what_is_next(tmp_path):
    done = run_mitozoo("new", "model", "acme-vit", "--into", str(tmp_path / "work"))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "work" / "mitozoo-plugin-acme-vit"
    assert {path.name for path in folder.iterdir()} == set(render_model("acme-vit"))
    assert [path.name for path in (tmp_path / "work").iterdir()] == [folder.name]  # nothing unfinished is left
    assert f"wrote {folder}" in done.stdout
    assert "mitozoo check acme-vit" in done.stderr


@pytest.mark.parametrize("obstacle", ["folder", "file", "broken link"])
def test_it_never_overwrites(tmp_path, obstacle):
    there = tmp_path / "mitozoo-plugin-acme-vit"
    if obstacle == "folder":
        there.mkdir()
        (there / "mine.py").write_text("mine")
    elif obstacle == "file":
        there.write_text("mine")
    else:
        there.symlink_to(tmp_path / "nowhere")
    done = run_mitozoo("new", "model", "acme-vit", cwd=tmp_path)
    assert done.returncode == 2
    assert "exists, and nothing is overwritten" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [there.name]
    if obstacle == "folder":
        assert [path.name for path in there.iterdir()] == ["mine.py"]


def test_a_name_that_somebody_has_is_refused(tmp_path):
    done = run_mitozoo("new", "model", "resnet50", cwd=tmp_path)
    assert done.returncode == 2
    assert "'resnet50' is the name of a model already, of mitozoo-plugin-imagenet" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "My-Model", "a b", "../up", "-x", "x-", "a--b", "é", "a/b", "x\n", "$name"])
def test_names_that_cannot_be_are_refused(name):
    with pytest.raises(MitozooError, match="cannot be a model's name"):
        render_model(name)


def test_a_likely_name_is_offered():
    with pytest.raises(MitozooError) as error:
        render_model("My Model")
    assert "Did you mean 'my-model'?" in str(error.value)


@pytest.mark.parametrize("name", ["acme", "acme-vit", "dino-v2.1", "3d_net", "import", "load"])
def test_what_is_written_is_a_valid_plugin(name):
    files = render_model(name)
    assert not [path for path, text in files.items() if re.search(r"\$\w", text)]  # every word was filled in
    project = tomllib.loads(files["pyproject.toml"])
    [(entry_point, module)] = project["project"]["entry-points"]["mitozoo.v1"].items()
    assert f"{module}.py" in files
    assert module.isidentifier()
    assert project["project"]["name"] == f"mitozoo-plugin-{entry_point}"
    names: dict = {"__name__": module}
    exec(compile(files[f"{module}.py"], module, "exec"), names)
    [spec] = names["mitozoo_models"]()
    assert isinstance(spec, ModelSpec)
    assert spec.name == name
    compile(files["test_plugin.py"], "test_plugin.py", "exec")
    assert len(files["README.md"].splitlines()) == 5


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_plugins_here_look_like_what_a_stranger_gets(folder):
    """One truth: what the template fixes is the same in every plugin of this repository."""
    template = tomllib.loads(render_model(folder.name.removeprefix("mitozoo-plugin-"))["pyproject.toml"])
    here = tomllib.loads((folder / "pyproject.toml").read_text())
    assert here["build-system"] == template["build-system"]
    assert set(here) <= {*template, "tool"}
    mine, fixed = here["project"], template["project"]
    assert set(mine) - {"optional-dependencies"} == set(fixed)
    for key in ("name", "readme", "license", "requires-python", "entry-points"):
        assert mine[key] == fixed[key], key
    assert mine["dependencies"][0] == fixed["dependencies"][0]
    module = folder.name.replace("-", "_")
    assert (folder / f"{module}.py").is_file() != (folder / module / "__init__.py").is_file()


def test_there_are_plugins_to_compare():
    assert {"mitozoo-plugin-imagenet", "mitozoo-plugin-demo"} <= {folder.name for folder in PLUGINS}
