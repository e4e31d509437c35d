"""GeoJSON of QuPath: points and outlines with a class."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fuzzed_files import EDITS, FUZZED, VALUES, edited, valid_or_refused
from hypothesis import given
from hypothesis import strategies as st

from mitozoo.data.cells import read_cells
from mitozoo.errors import DataError
from mitozoo.plugins.formats import QuPathGeoJson

LAYOUT = QuPathGeoJson(path="labels", images="slides", suffix=".svs")


def feature(kind: str, coordinates, name: str | None = "MF", **more) -> dict:
    properties = {"objectType": "annotation"} | ({"classification": {"name": name, "color": [1, 2, 3]}} if name else {})
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties} | more


FEATURES = [
    feature("Point", [10.5, 20], id="u-1"),
    feature("MultiPoint", [[1, 2], [3, 4]], "HN"),
    feature("Polygon", [[[100, 100], [104, 100], [104, 108], [100, 108], [100, 100]]], id="u-3"),
]


@pytest.fixture
def spec(make_spec):
    return make_spec(cells=LAYOUT, labels={"MF": "positive", "HN": "hard"})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "labels").mkdir()
    write(tmp_path, {"type": "FeatureCollection", "features": FEATURES})
    return tmp_path


def write(folder, content) -> None:
    (folder / "labels" / "a b.geojson").write_text(content if isinstance(content, str) else json.dumps(content))


def test_points_and_outlines_are_cells(folder, spec):
    (folder / "labels" / "empty.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    table = read_cells(spec, folder).table
    assert table["cell_id"].tolist() == ["a b/1/0", "a b/1/1", "a b/u-1", "a b/u-3"]
    assert table[["x", "y"]].to_numpy().tolist() == [[1, 2], [3, 4], [10.5, 20], [102, 104]]
    assert table["label"].tolist() == [0, 0, 1, 1]
    assert table["file"].unique().tolist() == ["slides/a b.svs"]
    write(folder, FEATURES)  # QuPath also exports a bare list
    assert len(read_cells(spec, folder)) == 4


@given(
    centre=st.tuples(st.integers(0, 100_000), st.integers(0, 100_000)), radius=st.floats(2, 60), n=st.integers(3, 40),
    turned=st.floats(0, 6), clockwise=st.booleans(),
)  # fmt: skip
@FUZZED
def test_the_centroid_of_a_regular_outline_is_its_centre(folder, spec, centre, radius, n, turned, clockwise):
    angles = turned + np.arange(n) * 2 * np.pi / n
    ring = np.stack([centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)], axis=1)[
        :: -1 if clockwise else 1
    ]
    write(folder, [feature("Polygon", [[*ring.tolist(), ring[0].tolist()]], id="p"), feature("Point", [1, 1], "HN")])
    table = read_cells(spec, folder).table.set_index("cell_id")
    np.testing.assert_allclose(table.loc["a b/p", ["x", "y"]].to_numpy(dtype=float), centre, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            [feature("LineString", [[1, 2], [3, 4]])],
            r"object 0: a cell is a point, points or an outline, not a LineString",
        ),
        ([feature("Point", [1])], r"object 0: \[1\] is no point"),
        ([feature("Point", ["1,5", 2])], r"is no point"),
        ([feature("Polygon", [[[1, 1], [2, 2], [1, 1]]])], r"object 0: its outline has no area"),
        ([feature("Polygon", [[]])], r"object 0: its outline has no points"),
        ([feature("Point", [1, 2], None)], r"unknown label ''|holds no cells of dataset"),
        ([*FEATURES, feature("Point", [1, 2], None)], r"object a b/3: unknown label ''"),
        ([*FEATURES, FEATURES[0]], r"the cell_id 'a b/u-1' was there before"),
        ([], r"holds no cells"),
        ({"type": "Topology"}, r"is no GeoJSON of objects"),
        ("{", r"cannot be read as JSON"),
    ],
)
def test_bad_content_is_refused_in_one_sentence(folder, spec, content, message):
    write(folder, content)
    with pytest.raises(DataError, match=message) as caught:
        read_cells(spec, folder)
    assert "\n" not in caught.value.message


def test_no_files(tmp_path, spec):
    with pytest.raises(DataError, match=r"the .geojson files are expected in .*labels, and there are none"):
        read_cells(spec, tmp_path)


@given(edits=EDITS)
@FUZZED
def test_any_bytes_are_valid_or_refused(folder, spec, edits):
    (folder / "labels" / "a b.geojson").write_bytes(edited(json.dumps(FEATURES).encode(), edits))
    valid_or_refused(spec, folder)


@given(
    place=st.integers(0, 2),
    field=st.sampled_from(["geometry", "properties", "id", "type", "coordinates"]),
    value=VALUES,
)
@FUZZED
def test_any_values_are_valid_or_refused(folder, spec, place, field, value):
    content = json.loads(json.dumps(FEATURES))
    target = content[place]["geometry"] if field in ("type", "coordinates") else content[place]
    target[field] = value
    write(folder, content)
    valid_or_refused(spec, folder)
