"""Releases: which distributions are due, what may be inside them, and workflows that say what is meant."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest
import yaml
from script_files import REPOSITORY, load_script

changed_versions = load_script(".ci/changed_versions.py")
check_built = load_script(".ci/check_built.py")
WORKFLOWS = {file.stem: yaml.safe_load(file.read_text()) for file in (REPOSITORY / ".github" / "workflows").iterdir()}
CORE, PLUGIN = (
    changed_versions.Distribution(name, "1.2.0", f"{name}-v1.2.0") for name in ("mitozoo", "mitozoo-plugin-a")
)


@pytest.mark.parametrize(
    ("tags", "due"),
    [
        ([], [CORE, PLUGIN]),
        (["mitozoo-v1.2.0"], [PLUGIN]),
        (["mitozoo-v1.1.0", "mitozoo-plugin-a-v1.2.0"], [CORE]),
        (["mitozoo-v1.2.0", "mitozoo-plugin-a-v1.2.0"], []),
        (["mitozoo-v1.2.0", "mitozoo-plugin-a-v1.10.0", "mitozoo-plugin-a-v1.2.0"], []),
        (["mitozoo-v1.2.0", "mitozoo-plugin-ab-v1.2.0", "mitozoo-plugin-a-v1.2.0rc1"], [PLUGIN]),
    ],
)
def test_due_is_what_has_no_tag(tags, due):
    assert changed_versions.due([CORE, PLUGIN], tags) == due


def test_a_version_below_a_released_one_is_refused():
    with pytest.raises(ValueError, match=r"mitozoo is at 1\.2\.0, but 1\.10\.0 is released"):
        changed_versions.due([CORE], ["mitozoo-v1.9.0", "mitozoo-v1.10.0"])


def test_the_core_comes_before_its_plugins():
    names = [one.name for one in changed_versions.distributions()]
    assert names[0] == "mitozoo"
    assert names[1:] == sorted(file.parent.name for file in (REPOSITORY / "plugins").glob("*/pyproject.toml"))


def test_the_script_prints_one_line_of_json_for_the_matrix():
    command = [sys.executable, REPOSITORY / ".ci" / "changed_versions.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert all(one.keys() == {"name", "version", "tag"} for one in yaml.safe_load(done.stdout))


@pytest.fixture
def built(tmp_path):
    """Return a function that writes a wheel and an sdist of mitozoo-plugin-a 1.2.0 with further files in them."""
    stem = "mitozoo_plugin_a-1.2.0"

    def write(in_wheel: tuple[str, ...] = (), in_sdist: tuple[str, ...] = (), *, entry_point: bool = True):
        with zipfile.ZipFile(tmp_path / f"{stem}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{stem}.dist-info/METADATA", "Name: mitozoo-plugin-a\nRequires-Python: >=3.11\n")
            for name in ("mitozoo_plugin_a.py", *in_wheel, *[f"{stem}.dist-info/entry_points.txt"] * entry_point):
                wheel.writestr(name, "")
        with tarfile.open(tmp_path / f"{stem}.tar.gz", "w:gz") as sdist:
            for name in ("mitozoo_plugin_a.py", "PKG-INFO", *in_sdist):
                sdist.addfile(tarfile.TarInfo(f"{stem}/{name}"), io.BytesIO())
        return check_built.faults(tmp_path, "mitozoo-plugin-a", "1.2.0")

    return write


def test_a_proper_pair_has_no_faults(built):
    assert built() == []


def test_foreign_files_and_a_missing_entry_point_are_named(built):
    assert built(in_wheel=("tests/test_a.py",)) == ["mitozoo_plugin_a-1.2.0-py3-none-any.whl holds tests/test_a.py"]
    assert built(in_sdist=("plugins/x/y.py",)) == ["mitozoo_plugin_a-1.2.0.tar.gz holds plugins/"]
    assert "no entry point" in " ".join(built(entry_point=False))


def test_another_version_or_another_distribution_is_refused(built, tmp_path):
    built()
    assert check_built.faults(tmp_path, "mitozoo-plugin-a", "1.3.0")[0].endswith("was not built")
    (tmp_path / "mitozoo-0.1.0-py3-none-any.whl").touch()
    assert check_built.faults(tmp_path, "mitozoo-plugin-a", "1.2.0") == [
        "mitozoo-0.1.0-py3-none-any.whl was built, too"
    ]


def test_the_core_is_built_from_the_package_alone():
    build = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"]["packages"] == ["mitozoo"]
    assert set(build["sdist"]["only-include"]) == {"mitozoo", "README.md", "LICENSE", "pyproject.toml"}


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job.get("steps", ())]


@pytest.mark.parametrize("name", ["ci", "docs", "release"])
def test_workflow_may_only_read_and_runs_what_is_there(name):
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}  # what a job needs beyond that, it asks for
    for step in steps(workflow):
        assert ("run" in step) != ("uses" in step)
        assert "${{" not in step.get("run", ""), "values reach a script by its environment alone"
        for script in re.findall(r"\.ci/\S+?(?=[ )\n]|$)", step.get("run", "")):
            assert (REPOSITORY / script).is_file()


def test_ci_runs_the_gate_on_both_systems_and_the_oldest_and_newest_python():
    job = WORKFLOWS["ci"]["jobs"]["check"]
    assert job["strategy"]["matrix"] == {"os": ["ubuntu-latest", "macos-latest"], "python": ["3.11", "3.13"]}
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_release_publishes_without_a_token_after_the_checks_and_tags():
    job = WORKFLOWS["release"]["jobs"]["publish"]
    assert set(job["needs"]) == {"due", "check"}
    assert job["permissions"] == {"contents": "write", "id-token": "write"}
    commands = [step["run"] for step in job["steps"] if "run" in step]
    order = ["uv build --package", ".ci/check_built.py", "mitozoo plugins", "uv publish --trusted-publishing", '"$TAG"']
    assert [part for command, part in zip(commands, order, strict=True) if part in command] == order
    assert job["strategy"]["max-parallel"] == 1
    assert "fail-fast" not in job["strategy"]  # true unless said otherwise: no plugin goes out after a failed core
