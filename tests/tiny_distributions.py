"""Tiny distributions, really built, really installed, and a way to run the real command line over them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What every module below starts with: it notes in a file that it was imported.
PRELUDE = """
import os, pathlib
if "IMPORT_LOG" in os.environ:
    with open(os.environ["IMPORT_LOG"], "a") as log:
        log.write(__name__ + "\\n")
"""

#: Functions that make real records from a name.
RECORDS = """
from mitozoo import CellTable, DatasetSpec, ModelSpec, Preprocessing, TimmHub, hookimpl

def model(name, **further):
    return ModelSpec(
        name=name,
        load=TimmHub(architecture="resnet18", repo="timm/resnet18.a1_in1k", revision="0" * 40,
                     filename="model.safetensors", sha256=None, kwargs={"num_classes": 0}),
        preprocessing=Preprocessing(
            size=224, resize="square", resize_to=224, interpolation="bilinear", antialias=True,
            mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), mpp=0.5, mpp_basis="stated"),
        embed_dim=512, pooling="gap", prefix_tokens=0, precision="fp32", license="Apache-2.0",
        reference="https://example.org/model", **further)

def dataset(name, **further):
    return DatasetSpec(
        name=name,
        cells=CellTable(
            path="cells.csv", cell_id="{id}", slide="{slide}", file="{file}", x="x", y="y", label="{label}"),
        labels={"1": "positive", "0": "hard"}, positive_class="mitotic figure", negative_class="look-alike",
        group="slide", mpp=0.25, license="Apache-2.0", reference="https://example.org/data",
        negatives_origin="labelled by hand", **further)
"""


def offering(models: str = "[]", datasets: str = "[]") -> str:
    """Return a module's code that offers what these expressions give."""
    return (
        f"{RECORDS}\n@hookimpl\ndef mitozoo_models():\n    return {models}\n"
        f"\n@hookimpl\ndef mitozoo_datasets():\n    return {datasets}\n"
    )


def hook(body: str, name: str = "mitozoo_models", arguments: str = "") -> str:
    """Return a module's code with one hook."""
    return f"{RECORDS}\n@hookimpl\ndef {name}({arguments}):\n    {body}\n"


@dataclass(frozen=True)
class Tiny:
    """A distribution of one module for each entry point.

    Attributes:
        name: of the distribution; the entry point is called by what follows 'mitozoo-plugin-'.
        code: of its module.
        version: of the distribution.
        group: entry-point group.
        requires: what it says to require.
        further: more entry points: name -> code of a module of its own, or (group, module).
    """

    name: str
    code: str
    version: str = "1.0.0"
    group: str = "mitozoo.v1"
    requires: tuple[str, ...] = ()
    further: Mapping[str, str | tuple[str, str]] = field(default_factory=dict)

    @property
    def entry_point(self) -> str:
        return self.name.removeprefix("mitozoo-plugin-")


def build_wheel(folder: Path, tiny: Tiny) -> Path:
    """Write a wheel by hand: a pure module needs no build backend."""
    main = re.sub(r"[-_.]+", "_", tiny.name).lower()
    stem = f"{main}-{tiny.version}"
    files = {f"{main}.py": PRELUDE + tiny.code}
    entry_points = [(tiny.group, tiny.entry_point, main)]
    for name, value in tiny.further.items():
        if isinstance(value, tuple):
            entry_points.append((value[0], name, value[1]))
        else:
            module = f"{main}_{name.replace('-', '_')}"
            files[f"{module}.py"] = PRELUDE + value
            entry_points.append((tiny.group, name, module))
    metadata = ["Metadata-Version: 2.1", f"Name: {tiny.name}", f"Version: {tiny.version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in tiny.requires]
    groups = {group: [f"{n} = {m}" for g, n, m in entry_points if g == group] for group, _, _ in entry_points}
    info = f"{stem}.dist-info"
    files[f"{info}/METADATA"] = "\n".join(metadata) + "\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = "".join(
        f"[{group}]\n" + "\n".join(lines) + "\n" for group, lines in groups.items()
    )
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def install(folder: Path, *distributions: Tiny) -> Path:
    """Install the distributions into `folder/site` with the real installer."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("NOT TESTED: plugins are installed by `uv`, and there is no `uv` here")
    wheels = [str(build_wheel(folder, tiny)) for tiny in distributions]
    site = folder / "site"
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--offline", "--no-cache", "--python", sys.executable]
    done = subprocess.run([*command, "--target", str(site), *wheels], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return site


def run_mitozoo(
    *arguments: str, sites: tuple[Path, ...] = (), cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the real command in a process of its own, with these folders in front of its path."""
    path = os.pathsep.join([*map(str, sites), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "mitozoo", *arguments],
        env=os.environ | {"PYTHONPATH": path} | variables,
        cwd=cwd or (sites[0] if sites else None),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
