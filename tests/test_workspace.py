"""The workspace itself: what is installed is what constraints.txt pins, and the plugins are shaped alike."""

from __future__ import annotations

import importlib.metadata
import re
import sysconfig
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PLUGINS = sorted((ROOT / "plugins").iterdir())
UNPINNED = re.compile(r"mitozoo(-plugin-.+)?|pip|setuptools|uv|wheel")


def pinned() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {
        canonicalize_name(one.name): one
        for one in requirements
        if one.marker is None or one.marker.evaluate({"extra": ""})
    }


def test_what_is_installed_is_what_the_constraints_pin():
    pins = pinned()
    # Only what lies in the environment: setuptools, once imported, puts what it carries along on the path.
    found = importlib.metadata.distributions(path=[sysconfig.get_path("purelib")])
    installed = {canonicalize_name(one.name): one.version for one in found}
    third_party = {name: version for name, version in installed.items() if not UNPINNED.fullmatch(name)}
    others = [f"{name} {version}" for name, version in third_party.items() if name not in pins]
    assert not others, f"installed, but in no constraint (run: make constraints): {others}"
    differing = [f"{n} {v}" for n, v in third_party.items() if not pins[n].specifier.contains(v, prereleases=True)]
    assert not differing, f"installed in another version than constrained: {differing}"


def test_constraints_name_no_registry_and_no_path():
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert "--" not in text


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_every_plugin_is_one_distribution_with_one_entry_point_group(folder):
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == folder.name
    assert project["license"] == "Apache-2.0"
    assert project["requires-python"] == ">=3.11"
    assert "mitozoo>=0.1" in project["dependencies"]
    assert list(project["entry-points"]) == ["mitozoo.v1"]
    assert 3 <= len((folder / "README.md").read_text().splitlines()) <= 15
