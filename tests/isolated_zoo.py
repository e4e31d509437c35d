"""A really installed plugin whose model needs an older major version of a library than the host has.

The library, `palette`, is made here in two versions of different interfaces. uv resolves and installs as anywhere else,
from a folder of wheels in place of an index. That folder cannot hold torch and its like, which are a gigabyte: in their
place are wheels of the same names and the host's versions that hold nothing, and one line in the environment
(`host-libraries.pth`) that lets Python look among the host's libraries for what the environment itself does not have.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sysconfig
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tiny_distributions import Tiny, build_wheel, install
from tiny_zoo import CODE as TINY_ZOO

from mitozoo.models.isolated import environment
from mitozoo.plugins.registry import reset_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

PALETTE_1 = "def mix(tones): return tones.flip(1)\n"
PALETTE_2 = "def blend(tones): return -tones\n"  # and no `mix`: whoever calls that needs palette<2

#: 'painter' mixes by palette 1; 'turner' does the same by itself, in the host's process. Some patches are traps.
PAINTER = """
import os, sys, time
from mitozoo import ModelSpec, Preprocessing, hookimpl

def network(flip, talks=False):
    import torch

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.layers = torch.nn.Sequential(
                    torch.nn.Conv2d(3, 8, 5, stride=2), torch.nn.GELU(), torch.nn.Conv2d(8, 16, 3, stride=2))

        def forward(self, images):
            first = round(255 * (float(images[0, 0, 0, 0]) * 0.5 + 0.5))
            if first == 7:
                os._exit(3)
            if talks:
                print("seen")
                os.write(1, b"and this went to the file descriptor\\n")
            if first == 9:
                raise ValueError("this is a nine")
            return flip(self.layers(images).mean((2, 3)))

    return Network()

def load_painter():
    import palette
    if hasattr(os, "fork") and (child := os.fork()):
        open(os.environ["PAINTER_FORKED"], "w").write(str(child))
    elif hasattr(os, "fork"):
        time.sleep(600)
    return network(palette.mix, talks=True)

def load_turner():
    return network(lambda tones: tones.flip(1))

def spec(name, load, **further):
    return ModelSpec(
        name=name, load=load, embed_dim=16, pooling="network", prefix_tokens=0, precision="fp32",
        preprocessing=Preprocessing(
            size=32, resize="square", resize_to=32, interpolation="bilinear", antialias=True, mean=(0.5,) * 3,
            std=(0.5,) * 3, mpp=None, mpp_basis="none"),
        license="Apache-2.0", reference="https://example.org/model", **further)

@hookimpl
def mitozoo_models():
    return [spec("painter", load_painter, isolate=True, requires=("palette<2",)), spec("turner", load_turner),
            spec("painter-here", load_painter, requires=("palette<2",)),
            spec("impossible", load_painter, isolate=True, requires=("palette>=7",))]
"""


@dataclass(frozen=True)
class IsolatedZoo:
    """Folders: what a process needs on its path, and the wheels that uv may install."""

    site: Path
    wheels: Path


def host_wheels(folder: Path) -> None:
    """Make the wheels that stand for what the host has."""
    for name in environment.LOADERS_NEED:
        version, main = importlib.metadata.version(name), name.replace("-", "_")
        info = f"{main}-{version}.dist-info"
        files = {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        if name == "torch":
            files["host-libraries.pth"] = f"{sysconfig.get_path('purelib')}\n"
        files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
        with zipfile.ZipFile(folder / f"{main}-{version}-py3-none-any.whl", "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)


@pytest.fixture(scope="session")
def isolated_zoo_site(tmp_path_factory: pytest.TempPathFactory) -> IsolatedZoo:
    """Return the folders, made once for all tests of a process."""
    if environment.find_uv() is None:
        pytest.skip("NOT TESTED: environments are made by `uv`, and there is no `uv` here")
    folder = tmp_path_factory.mktemp("isolated-zoo")
    wheels = folder / "wheels"
    wheels.mkdir()
    host_wheels(wheels)
    for version, code in {"1.4.2": PALETTE_1, "2.0.0": PALETTE_2}.items():
        build_wheel(wheels, Tiny("palette", code, version))
    newest = Tiny("palette", PALETTE_2, "2.0.0")
    plugin = Tiny("mitozoo-plugin-painter", PAINTER, requires=("mitozoo>=0.1",))
    return IsolatedZoo(install(folder, newest, plugin, Tiny("mitozoo-plugin-tinyzoo", TINY_ZOO)), wheels)


@pytest.fixture(scope="module")
def isolated_zoo(
    isolated_zoo_site: IsolatedZoo, tmp_path_factory: pytest.TempPathFactory, isolated_home: Path
) -> Iterator[IsolatedZoo]:
    """Have both plugins in this process, a home of their own, and no package index."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(isolated_zoo_site.site)
        for name, value in variables(isolated_zoo_site, tmp_path_factory.mktemp("isolated-home")).items():
            patch.setenv(name, value)
        reset_registry()
        yield isolated_zoo_site
    reset_registry()


def variables(zoo: IsolatedZoo, home: Path) -> dict[str, str]:
    """Return what a process's environment must say."""
    return {
        "MITOZOO_HOME": str(home), "MITOZOO_PLUGINS": "painter,tinyzoo", "UV_FIND_LINKS": str(zoo.wheels),
        "UV_NO_INDEX": "1", "UV_OFFLINE": "1", "UV_CACHE_DIR": str(zoo.wheels.parent / "uv-cache"),
        "PAINTER_FORKED": str(zoo.wheels.parent / "forked"),
    }  # fmt: skip


def has_ended(process: int) -> bool:
    """Tell whether a process is gone, or will be within seconds; one that waits to be taken note of is gone."""
    for _ in range(500):
        try:
            os.kill(process, 0)
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


def without_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take uv away from this process."""
    environment.find_uv.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
