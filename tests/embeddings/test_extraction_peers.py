"""The comparison of extraction with other tools: its crops, its check, its ratios, and mitozoo's side of it."""

import csv
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as paths:
        paths.syspath_prepend(BENCHMARKS)
        paths.syspath_prepend(BENCHMARKS / "peers")
        yield importlib.import_module("extraction_peers")


@pytest.fixture
def crops(tmp_path):
    """Three PNG files of noise in two folders, one of which has the network's side already."""
    from PIL import Image

    random = np.random.default_rng(0)
    for place, side in (("a/1.png", 128), ("a/2.png", 224), ("b/3.png", 64)):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(256, size=(side, side, 3), dtype=np.uint8)).save(tmp_path / place)
    return tmp_path


def test_without_arguments_it_says_in_one_line_what_it_needs():
    done = subprocess.run([sys.executable, BENCHMARKS / "extraction_peers.py"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("not run: ")
    assert len(done.stdout.splitlines()) == 1


def test_crops_are_brought_to_one_side_and_those_of_that_side_stay_as_they_are(script, crops, tmp_path):
    from PIL import Image

    script.write_crops(crops, tmp_path / "out", 3, 224)
    written = sorted((tmp_path / "out").glob("*.png"))
    assert [Image.open(path).size for path in written] == [(224, 224)] * 3
    assert np.array_equal(Image.open(written[1]), Image.open(crops / "a" / "2.png"))
    with (tmp_path / "out" / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [path.name for path in written]
    assert {(row["x"], row["y"]) for row in rows} == {("112", "112")}


def test_too_few_crops_end_the_run(script, crops, tmp_path):
    with pytest.raises(SystemExit, match="has 3 PNG files, not 4"):
        script.write_crops(crops, tmp_path / "out", 4, 224)


def test_embeddings_are_equal_up_to_the_tolerance_and_no_further(script):
    expected = np.zeros((3, 2))
    near = expected + np.array([[0, 9e-6], [0, 0], [-1e-6, 0]])
    assert script.difference("a peer", near, expected) == pytest.approx(9e-6)
    far, unknown = expected.copy(), expected.copy()
    far[1, 0], unknown[2, 1] = -1.1e-5, np.nan
    for found in (far, unknown):
        with pytest.raises(SystemExit, match="a peer: 1 of 3 embeddings differ"):
            script.difference("a peer", found, expected)
    with pytest.raises(SystemExit, match=r"shape \(2, 2\), not \(3, 2\)"):
        script.difference("a peer", expected[:2], expected)


def test_ratios_are_medians_of_rounds_not_ratios_of_medians(script):
    def rounds(*seconds):
        return [script.Measured(extraction, process, {"x": "1"}) for extraction, process in seconds]

    runs = {"mitozoo": rounds((1, 2), (10, 20), (4, 8)), "eva": rounds((3, 4), (11, 40), (8, 24))}
    ours, theirs = (line.split() for line in script.table(runs, 40)[1:])
    assert ours == ["mitozoo", "4.00", "s", "10.0", "1.000", "8.00", "s", "1.000", "x", "1"]
    assert theirs == ["eva", "8.00", "s", "5.0", "2.000", "24.00", "s", "2.000", "x", "1"]


def test_our_side_embeds_the_crops_as_the_bare_network_does(script, crops, tmp_path):
    import torch
    from PIL import Image

    given, ours = importlib.import_module("extraction_task"), importlib.import_module("embed_with_mitozoo")
    task = given.Task(tmp_path / "out", tmp_path / "weights.safetensors", tmp_path, batch_size=2, cores=1)
    script.write_crops(crops, task.crops, 3, given.SIDE)
    script.write_weights(task.weights, given.ARCHITECTURE)
    found = ours.extract(task, ours.load_encoder(ours.SPEC, weights=task.weights)).vectors

    pixels = np.stack([np.asarray(Image.open(path)) for path in task.files()])
    images = torch.tensor(((pixels / 255 - given.MEAN) / given.STD).transpose(0, 3, 1, 2), dtype=torch.float32)
    with torch.inference_mode():
        expected = task.network()(images).numpy()
    assert found.shape == (3, given.LENGTH)
    assert script.difference("ours", found, expected) < 1e-5
