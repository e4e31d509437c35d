"""`mitozoo new`: what it writes, what it refuses, and that the plugins of this repository look the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from tiny_distributions import run_mitozoo

from mitozoo.cli.new import render_dataset, render_model
from mitozoo.errors import MitozooError
from mitozoo.plugins.dataset_spec import DatasetSpec
from mitozoo.plugins.model_spec import ModelSpec

REPOSITORY = Path(__file__).parents[2]
RENDER = {"model": render_model, "dataset": render_dataset}
PLUGINS = sorted(path.parent for path in (REPOSITORY / "plugins").glob("*/pyproject.toml"))


@pytest.mark.parametrize("kind", RENDER)
def test_it_writes_four_files_and_says_what_is_next(tmp_path, kind):
    done = run_mitozoo("new", kind, "acme-vit", "--into", str(tmp_path / "work"))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "work" / "mitozoo-plugin-acme-vit"
    assert {path.name for path in folder.iterdir()} == set(RENDER[kind]("acme-vit"))
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


@pytest.mark.parametrize(
    ("kind", "name", "owner"), [("model", "resnet50", "imagenet"), ("dataset", "midog21", "midog")]
)
def test_a_name_that_somebody_has_is_refused(tmp_path, kind, name, owner):
    done = run_mitozoo("new", kind, name, cwd=tmp_path)
    assert done.returncode == 2
    assert f"'{name}' is the name of a {kind} already, of mitozoo-plugin-{owner}" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "My-Model", "a b", "../up", "-x", "x-", "a--b", "é", "a/b", "x\n", "$name"])
def test_names_that_cannot_be_are_refused(name):
    for kind, render in RENDER.items():
        with pytest.raises(MitozooError, match=f"cannot be a {kind}'s name"):
            render(name)


def test_a_likely_name_is_offered():
    with pytest.raises(MitozooError) as error:
        render_model("My Model")
    assert "Did you mean 'my-model'?" in str(error.value)


@pytest.mark.parametrize("kind", RENDER)
@pytest.mark.parametrize("name", ["acme", "acme-vit", "dino-v2.1", "3d_net", "import", "load"])
def test_what_is_written_is_a_valid_plugin(kind, name):
    files = RENDER[kind](name)
    assert not [path for path, text in files.items() if re.search(r"\$\w", text)]  # every word was filled in
    project = tomllib.loads(files["pyproject.toml"])
    [(entry_point, module)] = project["project"]["entry-points"]["mitozoo.v1"].items()
    assert f"{module}.py" in files
    assert module.isidentifier()
    assert project["project"]["name"] == f"mitozoo-plugin-{entry_point}"
    names: dict = {"__name__": module}
    exec(compile(files[f"{module}.py"], module, "exec"), names)
    [spec] = names[f"mitozoo_{kind}s"]()
    assert isinstance(spec, {"model": ModelSpec, "dataset": DatasetSpec}[kind])
    assert spec.name == name
    compile(files["test_plugin.py"], "test_plugin.py", "exec")
    assert len(files["README.md"].splitlines()) == 5


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_plugins_here_look_like_what_a_stranger_gets(folder):
    """One truth: what the template fixes is the same in every plugin of this repository."""
    name = folder.name.removeprefix("mitozoo-plugin-")
    [written] = {render(name)["pyproject.toml"] for render in RENDER.values()}  # the same for a model and a dataset
    template = tomllib.loads(written)
    here = tomllib.loads((folder / "pyproject.toml").read_text())
    assert here["build-system"] == template["build-system"]
    assert set(here) <= {*template, "tool"}
    mine, fixed = here["project"], template["project"]
    assert set(mine) - {"optional-dependencies"} == set(fixed)
    for key in ("name", "readme", "license", "requires-python", "entry-points"):
        assert mine[key] == fixed[key], key
    assert mine["dependencies"][0] == fixed["dependencies"][0]
    assert len((folder / "README.md").read_text().splitlines()) == 5
    module = folder.name.replace("-", "_")
    assert (folder / f"{module}.py").is_file() != (folder / module / "__init__.py").is_file()


def test_there_are_plugins_to_compare():
    assert {"mitozoo-plugin-imagenet", "mitozoo-plugin-demo"} <= {folder.name for folder in PLUGINS}


def test_a_new_dataset_passes_its_checks_at_once(tmp_path, monkeypatch):
    for path, text in render_dataset("acme-cells").items():
        (tmp_path / path).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    from mitozoo.data.cells import read_cells
    from mitozoo.data.folder import select_data_folder
    from mitozoo.testing import check_plugin

    report = check_plugin("mitozoo_plugin_acme_cells")
    assert report.passed, str(report)
    assert {finding.what for finding in report.having("WARN")} == {"entry point", "reference"}
    spec = __import__("mitozoo_plugin_acme_cells").DATASET
    cells = read_cells(spec, select_data_folder(spec, None))
    assert (len(cells), int(cells.labels.sum()), len(set(cells.groups))) == (120, 40, 5)
