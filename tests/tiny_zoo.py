"""A really installed plugin with tiny models and datasets, so that whole evaluations take a second."""

from __future__ import annotations

import functools
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from tiny_distributions import Tiny, install

from mitozoo.claims import CLAIMS
from mitozoo.plugins.registry import reset_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CELLS = 168  # 14 slides of 12 cells, 4 of them positive
SLIDES = 14

CODE = '''
import csv, functools, os, time
from mitozoo import CellTable, DatasetSpec, ModelSpec, Preprocessing, hookimpl

SIDE, ACROSS, DOWN = 64, 4, 3
TABLE = "00955e6e27d930dbca43aa4079904e73db310dfd2ab88b62af1254236972c210"  # of the cells of 'tiny'

def paint(folder, slides):
    """Draw slides of bars, upright in positive cells and lying in others, but one in eight is turned."""
    import numpy as np, tifffile
    random = np.random.default_rng(0)
    (folder / "cells.csv").unlink(missing_ok=True)
    with (folder / "cells.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "slide", "case", "scanner", "x", "y", "label"])
        for slide in range(slides):
            pixels = random.normal(210 - 20 * (slide % 2), 10, (DOWN * SIDE, ACROSS * SIDE, 3))
            for place in range(ACROSS * DOWN):
                positive = (place + slide) % 3 == 0
                x = place % ACROSS * SIDE + SIDE // 2 + int(random.integers(-3, 4))
                y = place // ACROSS * SIDE + SIDE // 2 + int(random.integers(-3, 4))
                high, wide = (14, 4) if positive != (random.random() < 1 / 8) else (4, 14)
                pixels[y - high:y + high, x - wide:x + wide] *= random.uniform(0.3, 0.6)
                rows.writerow([f"cell-{slide:02}-{place:02}", f"slide-{slide:02}", f"case-{slide // 2}",
                               "AB"[slide % 2], x, y, "MF" if positive else "HN"])
            tifffile.imwrite(folder / f"slide-{slide:02}.tif", pixels.clip(0, 255).astype("uint8"), tile=(64, 64),
                             photometric="rgb", resolution=(1e4, 1e4), resolutionunit="CENTIMETER")

def paint_all(folder):
    paint(folder, 14)

def paint_few(folder):
    paint(folder, 3)

@functools.cache
def network_class():
    import torch

    class Network(torch.nn.Module):
        """Sixteen means of the patch, turned; or something that says nothing, or is no number."""

        def __init__(self, kind):
            super().__init__()
            self.kind = kind
            self.turn = torch.nn.Linear(16, 16)
            torch.nn.init.orthogonal_(self.turn.weight, generator=torch.Generator().manual_seed(0))
            torch.nn.init.zeros_(self.turn.bias)

        def forward(self, images):
            time.sleep(float(os.environ.get("TINY_SLEEP", 0)))
            means = torch.nn.functional.adaptive_avg_pool2d(images.mean(1), 4).flatten(1)
            if self.kind == "chance":
                return torch.sin(1e4 * (images.mean((1, 2, 3))[:, None] + 1) * torch.arange(1, 17))
            if self.kind == "nan":
                return self.turn(means) / (means.mean(1, keepdim=True) < 0.3)
            return self.turn(means)

    return Network

def load(kind):
    if "TINY_LOADS" in os.environ:
        with open(os.environ["TINY_LOADS"], "a") as log:
            log.write(kind + "\\n")
    return network_class()(kind)

def load_steady(): return load("steady")
def load_chance(): return load("chance")
def load_nan(): return load("nan")

def model(name, load, embed_dim=16, mean=0.5, **further):
    return ModelSpec(
        name=name, load=load, embed_dim=embed_dim, pooling="network", prefix_tokens=0, precision="fp32",
        preprocessing=Preprocessing(
            size=32, resize="square", resize_to=32, interpolation="bilinear", antialias=True, mean=(mean,) * 3,
            std=(0.5, 0.5, 0.5), mpp=None, mpp_basis="none"),
        license="Apache-2.0", reference="https://example.org/model", **further)

def dataset(name, group="slide", prepare=paint_all, labels={"MF": "positive", "HN": "hard"}, **further):
    return DatasetSpec(
        name=name, labels=labels, group=group, prepare=prepare, prepare_version=1, synthetic=True,
        cells=CellTable(path="cells.csv", cell_id="{id}", slide="{slide}", file="{slide}.tif", x="x", y="y",
                        label="{label}", case="{case}"),
        positive_class="<b>upright</b>", negative_class="lying", mpp=1.0, domains={"scanner": "{scanner}"},
        license="CC0-1.0", reference="https://example.org/data", negatives_origin="drawn", **further)

@hookimpl
def mitozoo_models():
    return [model("steady", load_steady, parameters=272), model("shifted", load_steady, mean=0.4),
            model("chance", load_chance), model("nan", load_nan), model("wide", load_steady, embed_dim=17)]

@hookimpl
def mitozoo_datasets():
    official = [f"slide-{number:02}" for number in range(10, 14)]
    return [dataset("tiny", table_sha256={"hard": TABLE}), dataset("tiny-official", test_slides=official),
            dataset("tiny-few", prepare=paint_few), dataset("tiny-child", derived_from=["tiny"]),
            dataset("tiny-leak", group="case", test_slides=["slide-00", "slide-02", "slide-03"])]
'''


@functools.cache
def installed_zoo(folder: Path) -> Path:
    """Return a folder with the plugin installed, made once."""
    return install(folder, Tiny("mitozoo-plugin-tinyzoo", CODE))


@pytest.fixture(scope="session")
def zoo_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that a process needs on its path to have the plugin."""
    folder = tmp_path_factory.getbasetemp() / "tiny-zoo"
    folder.mkdir(exist_ok=True)
    return installed_zoo(folder)


@pytest.fixture(scope="module")
def zoo(zoo_site: Path, isolated_home: Path) -> Iterator[Path]:
    """Have the plugin, and no other, in this process; return the folder of the dataset 'tiny'."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(zoo_site)
        patch.setenv("MITOZOO_PLUGINS", "tinyzoo")
        reset_registry()
        from mitozoo.data.folder import select_data_folder
        from mitozoo.plugins.registry import load_registry

        yield select_data_folder(load_registry().dataset("tiny").spec, None)
    reset_registry()


@pytest.fixture
def own_home(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test caches of its own, empty but for the slides."""
    home = tmp_path / "home"
    shutil.copytree(zoo, home / "datasets" / zoo.name)
    monkeypatch.setenv("MITOZOO_HOME", str(home))
    return home


@pytest.fixture
def loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return a function that tells how many networks were loaded in this test, by any process."""
    log = tmp_path / "loads.txt"
    monkeypatch.setenv("TINY_LOADS", str(log))
    return lambda: len(log.read_text().splitlines()) if log.exists() else 0


def copy_of(data: Path, folder: Path) -> Path:
    """Copy a dataset's folder, so that its files can be changed."""
    return shutil.copytree(data, folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a run, but for what it cost and its locks: a late second call leaves one."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        os.fspath(path.relative_to(folder)): path.read_bytes()
        for path in files
        if path.name not in ("compute.json", ".lock", CLAIMS)
    }
