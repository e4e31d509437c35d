"""`mitozoo audit` on tables of cells with real images: what leaks is an exit code, what is not here is said."""

from __future__ import annotations

import json

import click.testing
import numpy as np
import pytest
from PIL import Image

from mitozoo.cli import main

SLIDES, CELLS = 8, 32  # four cells on each slide, two of them positive
PLACES = ((60, 60), (180, 60), (60, 180), (180, 180))


def paint(number: int) -> Image.Image:
    """Return a slide of structures as large as nuclei, no two alike."""
    coarse = np.random.default_rng(number).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((240, 240), Image.Resampling.BICUBIC)


@pytest.fixture
def make_table(tmp_path):
    """Return a function that writes slides and a table of their cells, and returns the table's path."""

    def make(name="mine.csv", split=None, cases=None, labels=(1, 0, 1, 0)):
        lines = ["slide,x,y,label,mpp" + ",split" * bool(split) + ",case" * bool(cases)]
        for slide in range(SLIDES):
            file = tmp_path / f"s{slide}.png"
            if not file.exists():
                paint(slide).save(file)
            more = ([split[slide]] if split else []) + ([cases[slide]] if cases else [])
            lines += [
                ",".join([file.name, str(x), str(y), str(label), "0.5", *more])
                for (x, y), label in zip(PLACES, labels, strict=True)
            ]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        return tmp_path / name

    return make


def audit(*arguments) -> click.testing.Result:
    done = click.testing.CliRunner().invoke(main, ["audit", *map(str, arguments)], prog_name="mitozoo")
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    return done


def findings(*arguments, code: int = 0) -> dict[str, dict]:
    done = audit(*arguments, "--json")
    found = {one["kind"]: one for one in json.loads(done.stdout)["findings"]}
    assert done.exit_code == code, (found, done.stderr)
    return found


def test_a_sound_dataset(make_table):
    table = make_table()
    done = audit(table)
    assert (done.exit_code, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    assert lines[0] == f"mine: {CELLS} cells in {SLIDES} slides, 5 folds, grouped, {CELLS} crops looked at"
    assert lines[1].split() == ["COUNT", "OF", "FINDING"]
    document = json.loads(audit(table, "--json").stdout)
    assert (document["leaks"], document["crops_looked_at"], document["images"]["missing"]) == (0, CELLS, 0)
    assert {one["count"] for one in document["findings"]} == {0}


def test_a_split_that_leaks_is_an_exit_code(make_table):
    sides = ["train"] * 4 + ["test"] * 4
    table = make_table(split=sides, cases=[f"p{n}" for n in (0, 1, 2, 3, 3, 5, 6, 7)])
    found = findings(table, code=1)
    assert (found["group leaks"]["count"], found["group leaks"]["severity"]) == (1, "leak")
    assert found["group leaks"]["examples"] == [["s3.png@180,180", "s4.png@180,180"]]
    assert findings(table, "--split", "grouped")["group leaks"]["count"] == 0
    assert findings(table, "--group", "image")["group leaks"]["count"] == 0


def test_images_that_are_not_here(make_table):
    table = make_table()
    for file in table.parent.glob("*.png"):
        file.unlink()
    found = findings(table, "--crop-um", "70")  # 140 px: neighbours 120 px apart overlap
    nothing_seen = found["duplicates, conflicting labels, borders"]
    assert (nothing_seen["count"], nothing_seen["severity"]) == (None, "not looked at")
    assert found["overlapping crops"]["count"] == 6 * SLIDES
    assert "pixel-identical crops" not in found


def test_images_that_are_missing_or_broken_are_counted(make_table):
    table = make_table()
    (table.parent / "s3.png").unlink()
    broken = table.parent / "s5.png"
    broken.write_bytes(broken.read_bytes()[:5000])
    found = findings(table)
    assert (found["missing images"]["count"], found["unreadable images"]["count"]) == (1, 1)
    assert "8 cells" in found["missing images"]["meaning"]


def test_one_slide_under_two_names(make_table, tmp_path):
    table = make_table(split=["train", "test"] * 4)
    paint(3).save(tmp_path / "s4.png")
    dimmed = np.asarray(paint(1)) * 0.8
    Image.fromarray(dimmed.astype(np.uint8)).save(tmp_path / "s6.png")
    picture = tmp_path / "sheet.png"
    found = findings(table, "--picture", picture, code=1)
    assert (found["pixel-identical crops"]["count"], found["near-identical crops"]["count"]) == (4, 4)
    assert found["pixel-identical crops"]["examples"][0] == ["s3.png@180,180", "s4.png@180,180"]
    assert found["duplicates across the split"]["count"] == 8
    assert found["duplicates with conflicting labels"]["count"] == 0
    with Image.open(picture) as image:
        assert image.format == "PNG"
        assert image.width > 500


def test_another_table_of_the_same_slides(make_table):
    ours = make_table()
    found = findings(ours, "--against", make_table("other.csv", labels=(0, 1, 1, 0)), code=1)
    assert found["shared cases"]["count"] == 0  # nobody declares it
    assert found["pixel-identical crops in both"]["count"] == CELLS
    assert found["pixel-identical crops in both"]["examples"][0] == ["s0.png@180,180", "other: s0.png@180,180"]


def test_too_few_groups_for_any_split(tmp_path):
    (tmp_path / "mine.csv").write_text("slide,x,y,label\na.tif,5,5,1\na.tif,9,5,0\nb.tif,5,5,1\nb.tif,99,5,0\n")
    found = findings(tmp_path / "mine.csv")
    assert found["no split"]["severity"] == "warning"
    assert "5 grouped folds need 5 groups" in found["no split"]["meaning"]


def test_mistakes(make_table):
    table = make_table()
    for arguments, said in (
        (("ami-brr",), "Did you mean 'ami-br'"),
        ((table, "--against", "midogppp"), "Did you mean 'midogpp'"),
        ((table, "--split", "official"), "no official split"),
        ((table, "--split", "halves"), "it must be one of"),
        ((table, "--data", "/nowhere"), "does not exist"),
    ):
        done = audit(*arguments)
        assert done.exit_code == 2
        assert said in done.stderr
        assert done.stdout == ""
