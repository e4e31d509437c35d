"""Files for viewers: mitozoo's own readers find the same cells in them, and each has the shape that its format asks."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import uuid
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mitozoo.data.cells import read_cells
from mitozoo.data.own import own_dataset
from mitozoo.engine.cells_again import cells_again
from mitozoo.errors import DataError, StorageError, VerificationError
from mitozoo.exports.export import write_for_viewer, write_table
from mitozoo.exports.placed import place
from mitozoo.exports.qupath import file_names, is_cropped, moved_in_qupath
from mitozoo.exports.slide_runner import SCHEMA_V1
from mitozoo.plugins.formats import MidogJson, QuPathGeoJson, SlideRunnerDatabase
from mitozoo.plugins.registry import load_registry
from mitozoo.results.tested import OUTCOMES, read_tested

BY_OUTCOME = {"true positive": "positive", "missed": "positive", "false positive": "hard", "true negative": "hard"}


def spec(**changed):
    """Return the run's dataset, read from other label files; `prepare` could make only its own."""
    own = load_registry().dataset("tiny").spec
    return dataclasses.replace(own, prepare=None, prepare_version=0, domains={}, **changed)


def same_cells(table: pd.DataFrame, placed, *, ids: bool) -> None:
    """Assert that cells read back are the exported ones: places, labels, images, and ids where the format has them."""
    wanted = placed.table.assign(file=placed.table["image"])
    by = ["cell_id"] if ids else ["file", "x", "y"]
    columns = ["file", "x", "y", "label", *(["cell_id"] if ids else [])]
    one, other = (each.astype({"file": "str"}).sort_values(by, ignore_index=True)[columns] for each in (table, wanted))
    pd.testing.assert_frame_equal(one, other, check_dtype=False)


def test_csv_is_a_dataset_of_ones_own(run, placed, tmp_path):
    path = tmp_path / "predictions.csv"
    write_table(read_tested(run, fraction=0.5), placed, path)
    table = read_cells(own_dataset(path), tmp_path).table
    same_cells(table, placed, ids=True)
    assert table["domain_scanner"].tolist() == placed.table["domain_scanner"].tolist()
    assert table["case"].tolist() == placed.table["case"].tolist()
    written = pd.read_csv(path)
    for name in ("score", "threshold", "called", "fits", "predicted", "outcome"):
        assert written[name].tolist() == placed.table[name].tolist()
    assert set(written["class"]) == {"<b>upright</b>", "lying"}


def test_csv_without_places(run, tmp_path):
    write_table(read_tested(run), None, tmp_path / "predictions.csv")
    written = pd.read_csv(tmp_path / "predictions.csv")
    assert len(written) == 168
    assert not {"x", "y", "file"} & set(written.columns)


def test_csv_runs_no_formula(run, placed, tmp_path):
    evil = placed.table.assign(cell_id=["=HYPERLINK(0)", *placed.table["cell_id"][1:]])
    path = tmp_path / "predictions.csv"
    write_table(read_tested(run, fraction=0.5), dataclasses.replace(placed, table=evil), path)
    assert pd.read_csv(path)["cell_id"][0] == "'=HYPERLINK(0)"


@pytest.mark.parametrize("points", [True, False], ids=["points", "squares"])
def test_qupath(placed, tmp_path, points):
    folder = tmp_path / "qupath"
    write_for_viewer(placed, "qupath", folder, points=points)
    assert sorted(path.name for path in folder.iterdir()) == [f"slide-{n:02}.geojson" for n in range(14)]
    layout = QuPathGeoJson(path="qupath", images="", suffix=".tif")
    table = read_cells(spec(cells=layout, labels=BY_OUTCOME), tmp_path).table
    same_cells(table, placed, ids=False)
    features = [feature for path in folder.iterdir() for feature in json.loads(path.read_text())["features"]]
    by_id = placed.table.set_index("cell_id")
    for feature in features:
        told = feature["properties"]
        cell = by_id.loc[told["name"]]
        assert told["classification"]["name"] == cell["outcome"]
        assert told["measurements"]["score"] == cell["score"]
        assert told["measurements"]["called"] == cell["called"]
        assert told["objectType"] == ("annotation" if points else "detection")
        assert str(uuid.UUID(feature["id"])) == feature["id"]  # QuPath drops any other id
    assert len({feature["id"] for feature in features}) == len(features) == 168


POSITION = {"type": "array", "minItems": 2, "maxItems": 3, "items": {"type": "number"}}
RING = {"type": "array", "minItems": 4, "items": POSITION}
#: RFC 7946, sections 3.1 to 3.3, for what is written here.
GEOJSON = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "geometry", "properties"],
                "properties": {
                    "type": {"const": "Feature"},
                    "id": {"type": ["string", "number"]},
                    "properties": {"type": ["object", "null"]},
                    "geometry": {
                        "oneOf": [
                            {
                                "required": ["type", "coordinates"],
                                "properties": {"type": {"const": "Point"}, "coordinates": POSITION},
                            },
                            {
                                "required": ["type", "coordinates"],
                                "properties": {
                                    "type": {"const": "Polygon"},
                                    "coordinates": {"type": "array", "items": RING},
                                },
                            },
                        ]
                    },
                },
            },
        },
    },
}


@pytest.mark.parametrize("points", [True, False], ids=["points", "squares"])
def test_geojson_is_that_of_its_standard(placed, tmp_path, points):
    write_for_viewer(placed, "qupath", tmp_path / "qupath", points=points, box_px=31)
    for path in (tmp_path / "qupath").iterdir():
        document = json.loads(path.read_text(encoding="utf-8"))
        Draft202012Validator(GEOJSON).validate(document)
        for feature in document["features"] if not points else ():
            [ring] = feature["geometry"]["coordinates"]
            assert ring[0] == ring[-1]
            x, y = np.array(ring).T
            assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2 == 31**2  # counterclockwise, as its section 3.1.6 asks


def test_qupath_overwrites_nothing(placed, tmp_path):
    with pytest.raises(StorageError, match=r"there is something at"):
        write_for_viewer(placed, "qupath", tmp_path)


NAMES = st.lists(
    st.text(st.sampled_from("ab./\\ :é<\x00\n~A"), min_size=1, max_size=8), min_size=1, max_size=8, unique=True
)


@given(images=NAMES)
def test_files_are_told_apart_and_leave_no_folder(images):
    names = file_names(images)
    assert list(names) == images
    assert len({name.casefold() for name in names.values()}) == len(images)
    for name in names.values():
        assert name
        assert name not in (".", "..")
        assert not set(name) & set('/\\:<>"|?*\x00\n')


def test_slides_whose_origin_qupath_moves(placed):
    box = {
        f"openslide.bounds-{side}": str(value)
        for side, value in zip(("x", "y", "width", "height"), (7, 9, 50, 60), strict=True)
    }
    assert is_cropped(box, (100, 100))  # as MIRAX and Leica files state it
    assert not is_cropped(box | {"openslide.bounds-x": "0", "openslide.bounds-y": "0"}, (100, 100))
    assert not is_cropped(box, (50, 60))
    assert not is_cropped({}, (100, 100))
    assert moved_in_qupath(placed) == []


def test_images_of_one_name_in_two_folders():
    assert file_names(["01/07.tif", "02/07.tif"]) == {"01/07.tif": "01_07", "02/07.tif": "02_07"}
    assert file_names(["01/07.tif", "02/08.tif"]) == {"01/07.tif": "07", "02/08.tif": "08"}


@pytest.mark.parametrize("boxes", ["corners", "evidence"])
def test_midog(placed, tmp_path, boxes):
    write_for_viewer(placed, "midog", tmp_path / "cells.json", box_px=30)
    layout = MidogJson(path="cells.json", images="", boxes=boxes, class_names={"1": r"<b>upright</b>", "2": "lying"})
    table = read_cells(spec(cells=layout, labels={"1": "positive", "2": "hard"}), tmp_path).table
    same_cells(table, placed, ids=False)
    document = json.loads((tmp_path / "cells.json").read_text())
    assert {(image["width"], image["height"]) for image in document["images"]} == {(256, 192)}
    by_id = placed.table.set_index("cell_id")
    for entry in document["annotations"]:
        cell = by_id.loc[entry["cell_id"]]
        x1, y1, x2, y2 = entry["bbox"]
        assert (x2 - x1, y2 - y1, (x1 + x2) / 2, (y1 + y2) / 2) == (30, 30, cell["x"], cell["y"])
        assert entry["outcome"] == cell["outcome"]
        assert entry["score"] == cell["score"]
        assert (entry["predicted"] == 1) == bool(cell["predicted"])


def test_midog_keeps_votes(placed, tmp_path):
    votes = [[1, 0, 1] if label else [0] for label in placed.table["label"]]
    voted = placed.table.assign(votes=pd.Series(votes, dtype=object))
    write_for_viewer(dataclasses.replace(placed, table=voted), "midog", tmp_path / "cells.json")
    layout = MidogJson(path="cells.json", images="", boxes="corners")
    table = read_cells(spec(cells=layout, labels={"1": "positive", "2": "hard"}), tmp_path).table
    assert table["votes"].tolist() == [[1, 0, 1] if label else [0] for label in table["label"]]


def test_slide_runner(placed, tmp_path):
    path = tmp_path / "cells.sqlite"
    write_for_viewer(placed, "slide-runner", path)
    ids = {str(number): name for number, name in enumerate(OUTCOMES.values(), start=1)}
    layout = SlideRunnerDatabase(path="cells.sqlite", images="", class_names=ids)
    roles = {number: BY_OUTCOME[name] for number, name in ids.items()}
    table = read_cells(spec(cells=layout, labels=roles), tmp_path).table
    same_cells(table, placed, ids=False)
    assert [path.name for path in tmp_path.iterdir()] == ["cells.sqlite"]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT name FROM Persons").fetchall() == [("steady",)]
        sizes = database.execute("SELECT DISTINCT width, height, directory FROM Slides").fetchall()
        assert sizes == [(256, 192, "")]
        scores = dict(database.execute("SELECT cell_id, score FROM Predictions"))
    assert scores == dict(zip(placed.table["cell_id"], placed.table["score"], strict=True))


@pytest.mark.shared
def test_the_schema_is_that_of_a_published_database(shared_data):
    def columns(database: sqlite3.Connection) -> dict[str, list[tuple[str, str]]]:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        return {
            name: [(row[1], row[2]) for row in database.execute(f"PRAGMA table_info({name})")]
            for (name,) in tables.fetchall()
        }

    real = shared_data / "annotations" / "MITOS_WSI_CCMCT_Tumorzone.sqlite"
    with (
        closing(sqlite3.connect(f"{real.as_uri()}?mode=ro&immutable=1", uri=True)) as published,
        closing(sqlite3.connect(":memory:")) as own,
    ):
        own.executescript(SCHEMA_V1)
        assert columns(own) == columns(published)


PX = st.integers(-24 * 8, 150_000 * 8).map(lambda eighths: eighths / 8)  # half a box outside a slide, at most
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)


@given(
    cells=st.dictionaries(
        IDS, st.tuples(PX, PX, st.booleans(), st.booleans(), st.floats(0, 1)), min_size=2, max_size=6
    ),
    slide=st.sampled_from(["a.svs", "b c.tif", "ü.ndpi"]),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cells_are_read_back(cells, slide, placed, tmp_path_factory):
    """Whatever the ids, and wherever cells lie, a little outside of their slide too."""
    folder = tmp_path_factory.mktemp("any")
    x, y, label, predicted, score = (list(column) for column in zip(*cells.values(), strict=True))
    label[:2] = [True, False]
    own = placed.table.iloc[[0] * len(cells)].reset_index(drop=True).assign(
        cell_id=list(cells), x=np.array(x, dtype=float), y=np.array(y, dtype=float), label=np.array(label, dtype=int),
        predicted=np.array(predicted, dtype=int), score=score, image=slide,
        outcome=[OUTCOMES[pair] for pair in zip(map(int, label), map(int, predicted), strict=True)],
    )  # fmt: skip
    these = dataclasses.replace(placed, table=own, root=folder)
    ids = {name: str(number) for number, name in enumerate(OUTCOMES.values(), start=1)}
    _, _, suffix = slide.rpartition(".")
    classes = {"1": "positive", "2": "hard"}
    outcomes = {ids[name]: role for name, role in BY_OUTCOME.items()}
    for layout, path, form, roles in (
        ("qupath", "labels", QuPathGeoJson(path="labels", images="", suffix=f".{suffix}"), BY_OUTCOME),
        ("midog", "cells.json", MidogJson(path="cells.json", images="", boxes="corners"), classes),
        ("slide-runner", "cells.sqlite", SlideRunnerDatabase(path="cells.sqlite", images=""), outcomes),
    ):
        write_for_viewer(these, layout, folder / path)
        table = read_cells(spec(cells=form, labels=roles), folder).table
        places = [table[name].to_numpy().round(6).tolist() for name in ("x", "y")]
        found = sorted(zip(*places, table["label"], table["file"], strict=True))
        assert found == sorted(zip(own["x"], own["y"], own["label"], own["image"], strict=True))


def test_images_that_are_not_at_hand_have_no_size(placed, tmp_path):
    away = dataclasses.replace(placed, root=tmp_path)
    write_for_viewer(away, "midog", tmp_path / "cells.json")
    write_for_viewer(away, "slide-runner", tmp_path / "cells.sqlite")
    assert all("width" not in image for image in json.loads((tmp_path / "cells.json").read_text())["images"])
    with closing(sqlite3.connect(tmp_path / "cells.sqlite")) as database:
        assert database.execute("SELECT DISTINCT width, height FROM Slides").fetchall() == [(None, None)]


def test_patches_without_a_place_are_refused(run):
    tested = read_tested(run)
    cells = cells_again(tested.document, tested.cells["cell_id"].tolist(), None)
    nowhere = dataclasses.replace(cells, table=cells.table.assign(x=np.nan, y=np.nan))
    with pytest.raises(DataError, match=r"dataset 'tiny' releases patches without their places: no viewer"):
        place(tested, nowhere)


def test_patches_with_a_place_are_shown_on_their_slide(run):
    tested = read_tested(run)
    cells = cells_again(tested.document, tested.cells["cell_id"].tolist(), None)
    patches = dataclasses.replace(cells, spec=dataclasses.replace(cells.spec, patch_px=64))
    assert place(tested, patches).images == [f"slide-{n:02}" for n in range(14)]


def test_other_labels_are_not_those_of_the_run(run, zoo, tmp_path):
    tested = read_tested(run)
    ids = tested.cells["cell_id"].tolist()
    lines = (zoo / "cells.csv").read_text().splitlines()
    (tmp_path / "cells.csv").write_text("\n".join([lines[0], lines[1].replace("MF", "HN"), *lines[2:]]))
    with pytest.raises(VerificationError, match=r"hold other cells or labels than the run saw"):
        cells_again(tested.document, ids, tmp_path)
    (tmp_path / "cells.csv").write_text("\n".join([lines[0], *lines[2:]]))
    with pytest.raises(VerificationError, match=r"hold other cells or labels than the run saw"):
        cells_again(tested.document, ids, tmp_path)
