"""The tutorials are run as they stand: from an empty folder, each shell block in turn, in an environment of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sysconfig
import venv
from contextlib import closing
from pathlib import Path

import pytest

from mitozoo.plugins.dataset_spec import DatasetSpec
from mitozoo.plugins.model_spec import ModelSpec

REPOSITORY = Path(__file__).parents[2]
TUTORIAL = REPOSITORY / "docs" / "write-a-model.md"
DATASET_TUTORIAL = REPOSITORY / "docs" / "write-a-dataset.md"


def blocks(language: str, page: Path = TUTORIAL) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def commands(tmp_path) -> Path:
    """Return a folder with `pip`, `mitozoo` and `pytest` of a fresh environment that sees everything installed here."""
    uv = shutil.which("uv") or shutil.which(REPOSITORY / ".tools" / "bin" / "uv")
    if uv is None:
        pytest.skip("NOT TESTED: plugins are installed by `uv`, and there is no `uv` here")
    venv.create(tmp_path / "environment", symlinks=True)
    python = tmp_path / "environment" / "bin" / "python"
    site = next((tmp_path / "environment").glob("lib/python*/site-packages"))
    here = sysconfig.get_path("purelib")
    (site / "everything-here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    folder = tmp_path / "commands"
    folder.mkdir()
    for name, line in {
        "pip": f'verb=$1; shift; exec "{uv}" pip "$verb" --quiet --offline --no-deps --python "{python}" "$@"',
        "python": f'exec "{python}" "$@"',
        "mitozoo": f'exec "{python}" -m mitozoo "$@"',
        "pytest": f'exec "{python}" -m pytest -p no:cacheprovider "$@"',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    return folder


def run_from_nothing(page: Path, tmp_path: Path, commands: Path) -> tuple[Path, str]:
    """Run each shell block of a page from an empty folder; return the folder, and all that was printed."""
    empty = tmp_path / "empty"
    empty.mkdir()
    wishes = {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | wishes
    said = ""
    for block in blocks("sh", page):
        done = subprocess.run(
            ["sh", "-euc", block], cwd=empty, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        said += done.stdout + done.stderr
    return empty, said


@pytest.mark.slow
def test_model_tutorial_from_an_empty_folder_to_a_result(tmp_path, commands):
    empty, said = run_from_nothing(TUTORIAL, tmp_path, commands)
    assert "my-encoder: 16 PASS, 2 WARN, 0 FAIL" in said  # as the tutorial's text says: it warns twice
    assert re.search(r"my-encoder-demo-linear-probe-\w+  my-encoder  demo", said)  # mitozoo runs
    assert "1 passed" in said
    [result] = (empty / "runs").glob("*/result.json")
    assert '"my-encoder"' in result.read_text()
    written = {path.name for path in (empty / "mitozoo-plugin-my-encoder").iterdir() if path.is_file()}
    assert written == {"pyproject.toml", "mitozoo_plugin_my_encoder.py", "test_plugin.py", "README.md"}
    assert all(f"`{name}`" in TUTORIAL.read_text() for name in written)


def test_its_record_is_one():
    with_record, _ = blocks("python")
    names: dict = {}
    exec(with_record, names)
    [spec] = names["mitozoo_models"]()
    assert isinstance(spec, ModelSpec)

    from mitozoo.models.encoder import random_encoder

    encoder = random_encoder(spec, seed=0)  # also compares dimension and prefix tokens
    assert sum(parameter.numel() for parameter in encoder.network.parameters()) == spec.parameters


def test_its_function_gives_a_network():
    import torch

    names: dict = {}
    exec(blocks("python")[1], names)
    assert names["load_network"]()(torch.zeros(2, 3, 64, 64)).shape == (2, 64, 8, 8)


def test_it_names_every_check_and_tolerance():
    from mitozoo.testing import check_plugin
    from mitozoo.testing.network import TOLERANCE
    from mitozoo.testing.pixels import LARGEST_VALUE

    text = TUTORIAL.read_text()
    [table] = re.findall(r"\| check \|.*?(?=\n\n)", text, re.DOTALL)
    named = {word.strip() for row in table.splitlines()[2:] for word in row.split("|")[1].split(",")}
    report = check_plugin("mitozoo_plugin_controls")
    assert {finding.what for finding in report.findings} <= named
    assert f"at most {TOLERANCE:.0e} of".replace("e-0", "e-") in text
    assert f"stay within {LARGEST_VALUE:g};" in text


@pytest.mark.slow
def test_dataset_tutorial_from_an_empty_folder_to_a_result(tmp_path, commands, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    empty, said = run_from_nothing(DATASET_TUTORIAL, tmp_path, commands)
    assert "my_cells: 14 PASS, 4 WARN, 0 FAIL" in said  # licence, reference, negatives and who labelled
    assert "my-cells: 19 PASS, 1 WARN, 0 FAIL" in said  # the reference is a placeholder
    assert "1 passed" in said
    results = [path.read_text() for path in (empty / "runs").glob("*/result.json")]
    assert {name for name in ("my_cells", "my-cells") if any(f'"{name}"' in text for text in results)} == {
        "my_cells",
        "my-cells",
    }
    written = {path.name for path in (empty / "mitozoo-plugin-my-cells").iterdir() if path.is_file()}
    assert written == {"pyproject.toml", "mitozoo_plugin_my_cells.py", "test_plugin.py", "README.md"}
    assert all(f"`{name}`" in DATASET_TUTORIAL.read_text() for name in written)


PLACES = [("a", 10, 20, True), ("a", 50, 60, False), ("b", 30, 40, True), ("b", 70, 15, False)]


def write_table(folder: Path) -> None:
    lines = [
        f"{uid},{slide},p-{slide},{x},{y},{label},{label},{label},{label}"
        for uid, (slide, x, y, positive) in enumerate(PLACES)
        for label in ["MF" if positive else "NMF"]
    ]
    header = "uid,slide,patient,x,y,label,expert1,expert2,expert3"
    (folder / "cells.csv").write_text("\n".join([header, *lines]))


def write_database(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "cells.sqlite")) as database:
        database.executescript(
            """
            CREATE TABLE Slides (uid INTEGER, filename TEXT);
            CREATE TABLE Annotations (uid INTEGER, slide INTEGER, type INTEGER, agreedClass INTEGER);
            CREATE TABLE Annotations_coordinates (uid INTEGER, coordinateX REAL, coordinateY REAL, annoId INTEGER);
            CREATE TABLE Annotations_label (uid INTEGER, person INTEGER, class INTEGER, annoId INTEGER);
            CREATE TABLE Classes (uid INTEGER, name TEXT);
            INSERT INTO Classes VALUES (1, 'Look-alike'), (2, 'Mitotic figure');
            INSERT INTO Slides VALUES (1, 'a.png'), (2, 'b.png');
            """
        )
        for uid, (slide, x, y, positive) in enumerate(PLACES):
            database.execute("INSERT INTO Annotations VALUES (?, ?, 1, ?)", (uid, 1 + (slide == "b"), 1 + positive))
            database.execute("INSERT INTO Annotations_coordinates VALUES (?, ?, ?, ?)", (uid, x, y, uid))
        database.commit()


def write_json(folder: Path) -> None:
    document = {
        "images": [{"id": name, "file_name": f"{name}.png", "width": 99, "height": 99} for name in "ab"],
        "categories": [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "look-alike"}],
        "annotations": [
            {
                "id": uid, "image_id": slide, "category_id": 1 if positive else 2,
                "bbox": [x - 25, y - 25, x + 25, y + 25],
            }
            for uid, (slide, x, y, positive) in enumerate(PLACES)
        ],
    }  # fmt: skip
    (folder / "cells.json").write_text(json.dumps(document))


def write_geojson(folder: Path) -> None:
    (folder / "labels").mkdir()
    for name in "ab":
        features = [
            {
                "type": "Feature", "id": str(uid), "geometry": {"type": "Point", "coordinates": [x, y]},
                "properties": {"classification": {"name": "Mitosis" if positive else "Look-alike"}},
            }
            for uid, (slide, x, y, positive) in enumerate(PLACES)
            if slide == name
        ]  # fmt: skip
        (folder / "labels" / f"{name}.geojson").write_text(json.dumps({"features": features}))


WRITERS = {
    "CellTable": write_table,
    "SlideRunnerDatabase": write_database,
    "MidogJson": write_json,
    "QuPathGeoJson": write_geojson,
}


@pytest.mark.parametrize("block", blocks("python", DATASET_TUTORIAL), ids=list(WRITERS))
def test_each_format_of_the_dataset_tutorial_reads_the_same_cells(tmp_path, block):
    from mitozoo.data.cells import read_cells

    names: dict = {}
    exec(block, names)
    WRITERS[type(names["CELLS"]).__name__](tmp_path)
    spec = DatasetSpec(
        name="my-cells", cells=names["CELLS"], labels=names["LABELS"], positive_class="mitotic figure",
        negative_class="look-alike", group="slide", mpp=0.25, license="CC0-1.0", reference="https://example.org",
        negatives_origin="made up",
    )  # fmt: skip
    table = read_cells(spec, tmp_path).table
    assert table["file"].map(Path).tolist() == [Path("slides", f"{slide}.png") for slide, *_ in PLACES]
    assert table[["x", "y", "label"]].to_numpy().tolist() == [list(place[1:]) for place in PLACES]
