"""Patches: what is planted at so many microns is seen at the predicted pixel, and nothing is read that cannot be."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mitozoo import storage
from mitozoo.data.cells import read_cells
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import plan_patches
from mitozoo.errors import DataError, ProtocolError, SlideError
from mitozoo.plugins.formats import CellTable

WINDOW = Geometry(56.0, "reflect")
RNG = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))


def cells_at(folder, make_spec, places, **fields):
    """Cells at (file, x, y), the first one positive."""
    rows = [f"c{n:02},{file},p,{x},{y},{'MF' if n == 0 else 'HN'},," for n, (file, x, y) in enumerate(places)]
    (folder / "cells.csv").write_text("\n".join(["id,slide,case,x,y,label,a,b", *rows]))
    return read_cells(make_spec(**fields), folder)


def dot(width, height, x, y, radius):
    """A white field with a black disc around (x, y), where pixel i covers i to i + 1."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[(columns - x) ** 2 + (rows - y) ** 2 <= radius**2] = 0
    return pixels


def centroid(window):
    dark = 255.0 - window.mean(axis=2)
    rows, columns = np.mgrid[: window.shape[0], : window.shape[1]] + 0.5
    return (dark * columns).sum() / dark.sum(), (dark * rows).sum() / dark.sum()


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("centre", [(300, 260), (300.5, 259.5), (301.3, 262.8)])
@pytest.mark.parametrize("mpp", [0.23, 0.25, 0.5])
def test_a_dot_planted_in_microns_is_seen_at_the_predicted_pixel(tmp_path, make_spec, write_tiff, mpp, centre, kind):
    for across_um, down_um in ((0, 0), (10, -7.5), (-20, 20), (24, 3)):
        pixels = dot(620, 540, centre[0] + across_um / mpp, centre[1] + down_um / mpp, radius=1.0 / mpp)
        if kind == "png":
            Image.fromarray(pixels).save(tmp_path / "s.png")
        else:
            write_tiff(tmp_path / "s.tif", [pixels, np.asarray(Image.fromarray(pixels).reduce(2))], mpp)
        places = [(f"s.{kind}", *centre), (f"s.{kind}", 100, 100)]
        cells = cells_at(tmp_path, make_spec, places, mpp=mpp if kind == "png" else None)
        plan = plan_patches(cells, WINDOW, target_px=224)
        seen = Image.fromarray(plan.read(0)).resize((224, 224), Image.Resampling.BICUBIC)
        x, y = centroid(np.asarray(seen))
        # a window is snapped to whole pixels of the slide, which at 0.5 um/px moves it by one input pixel at most
        assert abs(x - (112 + across_um * 4)) < 1.01
        assert abs(y - (112 + down_um * 4)) < 1.01
        assert abs(plan.seen_um[0] - 56) <= mpp / 2


def test_a_dot_is_seen_in_place_through_a_coarse_level_too(tmp_path, make_spec, write_tiff):
    pixels = dot(2048, 2048, 1024 + 60 / 0.25, 1024 - 40 / 0.25, radius=16)
    write_tiff(
        tmp_path / "s.tif", [pixels, *(np.asarray(Image.fromarray(pixels).reduce(by)) for by in (2, 4, 8))], 0.25
    )
    cells = cells_at(tmp_path, make_spec, [("s.tif", 1024, 1024), ("s.tif", 9, 9)], mpp=None)
    for window_um, read_px in ((56, 224), (112, 224), (224, 224), (300, 300), (448, 224)):
        plan = plan_patches(cells, Geometry(float(window_um), "reflect"), target_px=224)
        window = plan.read(0)
        assert window.shape == (read_px, read_px, 3)
        if window_um < 200:
            continue  # the dot lies outside
        x, y = centroid(np.asarray(Image.fromarray(window).resize((224, 224), Image.Resampling.BICUBIC)))
        assert abs(x - (112 + 60 / window_um * 224)) < 1
        assert abs(y - (112 - 40 / window_um * 224)) < 1


def test_the_window_follows_each_slides_microns_per_pixel(tmp_path, make_spec, write_tiff):
    field = RNG.integers(0, 256, (300, 300, 3), dtype=np.uint8)
    write_tiff(tmp_path / "fine.tif", [field], 0.23)
    write_tiff(tmp_path / "coarse.tif", [field], 0.5)
    cells = cells_at(tmp_path, make_spec, [("fine.tif", 150, 150), ("coarse.tif", 150, 150)], mpp=None)
    plan = plan_patches(cells, WINDOW, target_px=224)
    assert plan.side_px.tolist() == [243, 112]
    np.testing.assert_allclose(plan.seen_um, [243 * 0.23, 56], rtol=1e-5)
    assert [plan.file(row).name for row in range(2)] == ["fine.tif", "coarse.tif"]
    assert plan.read(0).shape == (243, 243, 3)
    np.testing.assert_array_equal(plan.read(1), field[94:206, 94:206])
    assert not plan.beyond_border.any()


def test_no_microns_per_pixel_is_a_refusal(tmp_path, make_spec):
    Image.new("RGB", (300, 300)).save(tmp_path / "a.png")
    cells = cells_at(tmp_path, make_spec, [("a.png", 150, 150), ("a.png", 9, 9)], mpp=None)
    with pytest.raises(
        DataError, match=r"no microns per pixel are known for 1 slides of dataset 'toy', such as a.png"
    ) as caught:
        plan_patches(cells, WINDOW, target_px=224)
    assert "--mpp" in caught.value.hint


@pytest.mark.parametrize(("x", "y"), [(-112.6, 5), (412, 5), (5, 312), (5, -1e300), (1e18, 5)])
def test_a_cell_whose_window_shows_nothing_of_its_slide_is_named(tmp_path, make_spec, x, y):
    Image.new("RGB", (300, 200)).save(tmp_path / "a.png")
    cells = cells_at(tmp_path, make_spec, [("a.png", 299.9, 0), ("a.png", x, y)])
    said = r"cell c01 .* lies at \(.*\), outside its slide a.png of 300 x 200 px by more than half a window$"
    with pytest.raises(DataError, match=said):
        plan_patches(cells, WINDOW, target_px=224)
    assert len(plan_patches(cells.take(np.array([0])), WINDOW, target_px=224)) == 1


def test_cells_a_little_outside_are_kept_and_told(tmp_path, make_spec):
    """As MIDOG++'s cells 15363 (x = -2) and 15728 (y = -5): their windows show tissue."""
    pixels = RNG.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    places = [(-2, 80), (80, -5), (299.9, 199.9), (300, 5), (411, 311), (-111, -111)]
    plan = plan_patches(cells_at(tmp_path, make_spec, [("a.png", *at) for at in places]), WINDOW, target_px=224)
    assert plan.centred_outside.tolist() == [True, True, False, True, True, True]
    assert plan.beyond_border.all()
    assert plan.findings()["cells_centred_outside"] == {"cells": 5, "first": ["c00", "c01", "c03", "c04", "c05"]}
    assert plan.notes() == ["5 cells are centred outside their slide, by less than half a window; they are kept"]
    padded = np.pad(pixels, ((400, 400), (400, 400), (0, 0)), mode="symmetric")
    for row, (x, y) in enumerate(places):
        left, top = (int(np.floor(at - 112 + 0.5)) + 400 for at in (x, y))
        np.testing.assert_array_equal(plan.read(row), padded[top : top + 224, left : left + 224])


EDGES = {"reflect": "symmetric", "black": "constant"}


@given(
    places=st.lists(st.tuples(st.floats(-29, 129), st.floats(-29, 109)), min_size=2, max_size=12),
    window=st.integers(2, 70), edge=st.sampled_from(sorted(EDGES)), kind=st.sampled_from(["png", "tif"]),
)  # fmt: skip
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_windows_near_and_beyond_the_border_are_numpys(tmp_path, make_spec, write_tiff, places, window, edge, kind):
    """Every window that shows anything of its slide is what a padded copy of the slide shows; others are refused."""
    pixels = np.random.default_rng(3).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    if not (tmp_path / f"s.{kind}").exists():
        Image.fromarray(pixels).save(tmp_path / "s.png")
        write_tiff(tmp_path / "s.tif", [pixels], 1.0)
    cells = cells_at(tmp_path, make_spec, [(f"s.{kind}", *at) for at in places], mpp=1.0)
    corners = [[int(np.floor(at - window / 2 + 0.5)) for at in place] for place in places]
    if any(not (-window < left < 100 and -window < top < 80) for left, top in corners):
        with pytest.raises(DataError, match="by more than half a window"):
            plan_patches(cells, Geometry(float(window), edge), target_px=window)
        return
    plan = plan_patches(cells, Geometry(float(window), edge), target_px=window)
    padded = np.pad(pixels, ((200, 200), (200, 200), (0, 0)), mode=EDGES[edge])
    for row, (left, top) in enumerate(corners):
        expected = padded[top + 200 : top + 200 + window, left + 200 : left + 200 + window]
        np.testing.assert_array_equal(plan.read(row), expected)
        assert plan.beyond_border[row] == (min(left, top) < 0 or left + window > 100 or top + window > 80)
    outside = [not (0 <= x < 100 and 0 <= y < 80) for x, y in places]
    assert plan.centred_outside.tolist() == outside


def test_microns_per_pixel_are_the_files_then_the_datasets_then_the_users(tmp_path, make_spec, write_tiff):
    field = RNG.integers(0, 256, (300, 300, 3), dtype=np.uint8)
    for name, stated in (("a.tif", 0.23), ("b.tif", 0.252), ("c.tif", None), ("d.tif", 352.8)):
        write_tiff(tmp_path / name, [field], stated)
    Image.fromarray(field).save(tmp_path / "e.png", dpi=(72, 72))
    Image.fromarray(field).save(tmp_path / "f.tif", dpi=(72, 72))  # without tiles, 353 um/px: a printer's
    names = ["a.tif", "b.tif", "c.tif", "d.tif", "e.png", "f.tif"]
    cells = cells_at(tmp_path, make_spec, [(name, 150, 150) for name in [*names, "a.tif"]])
    plan = plan_patches(cells, WINDOW, target_px=224)
    np.testing.assert_allclose(plan.mpp, [0.23, 0.252, 0.25, 0.25, 0.25, 0.25, 0.23], rtol=1e-5)
    [told] = plan.findings()["mpp_disagreements"]
    assert (told["slide"], told["dataset"]) == ("a.tif", 0.25)
    assert told["file"] == pytest.approx(0.23, rel=1e-5)
    [note] = plan.notes()
    assert "1 slides state other microns per pixel than the dataset, such as a.tif: 0.23, not 0.25" in note
    named = plan_patches(
        read_cells(cells.spec, tmp_path, mpp=0.5), WINDOW, target_px=224, mpp_named=True
    )  # the user's own word
    assert named.mpp.tolist() == [0.5] * 7
    assert named.mpp_disagreements == ()


def test_pixels_that_are_not_square_need_the_users_word(tmp_path, make_spec, write_tiff):
    write_tiff(tmp_path / "s.tif", [np.zeros((300, 300, 3), np.uint8)], (0.25, 0.27))
    cells = cells_at(tmp_path, make_spec, [("s.tif", 150, 150), ("s.tif", 9, 9)])
    with pytest.raises(DataError, match="its pixels are not square"):
        plan_patches(cells, WINDOW, target_px=224)
    assert plan_patches(cells, WINDOW, target_px=224, mpp_named=True).mpp.tolist() == [0.25, 0.25]


def test_unreadable_slides_stop_the_plan_or_are_skipped_and_recorded(tmp_path, make_spec):
    for name in ("a.png", "b.png"):
        Image.fromarray(RNG.integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:10_000])
    places = [("a.png", 50, 50), ("b.png", 60, 60), ("gone.png", 70, 70), ("b.png", 80, 80), ("a.png", 90, 90)]
    cells = cells_at(tmp_path, make_spec, places)
    with pytest.raises(
        SlideError, match=r"2 of 3 slides cannot be read: .*b.png.*; slide .*gone.png does not exist"
    ) as caught:
        plan_patches(cells, WINDOW, target_px=224)
    assert "--skip-unreadable" in caught.value.hint
    plan = plan_patches(cells, WINDOW, target_px=224, skip_unreadable=True)
    assert plan.cells.table["cell_id"].tolist() == ["c00", "c04"]
    assert [cell_id for cell_id, _ in plan.skipped] == ["c01", "c02", "c03"]
    assert "gone.png does not exist" in plan.skipped[1][1]
    assert [plan.file(row).name for row in range(len(plan))] == ["a.png", "a.png"]
    assert plan.row_keys().shape == (2, 16)
    assert plan.read(1).shape == (224, 224, 3)
    with pytest.raises(SlideError, match=r"1 of 1 slides"):
        plan_patches(cells.take(np.array([1])), WINDOW, target_px=224, skip_unreadable=True)


def test_many_unreadable_slides_are_counted_and_the_first_named(tmp_path, make_spec):
    cells = cells_at(tmp_path, make_spec, [(f"{n}.png", 5, 5) for n in range(9)])
    with pytest.raises(SlideError, match=r"9 of 9 slides .*0.png .*1.png .*2.png does not exist; and 6 more\n"):
        plan_patches(cells, WINDOW, target_px=224)


@pytest.fixture
def patches(tmp_path, make_spec):
    """Four released patches of 64 px, whose centres are known in their slides only."""
    for number in range(4):
        Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    layout = CellTable(path="p.csv", cell_id="{id}", slide="s", file="{id}.png", x="x", y="y", label="{label}")
    (tmp_path / "p.csv").write_text("id,x,y,label\n0,5000,70,MF\n1,-3,9,HN\n2,11,12,MF\n3,5010,70,HN\n")
    return read_cells(make_spec(cells=layout, patch_px=64, mpp=0.25), tmp_path)


def pixels_of(cells, row):
    return np.asarray(Image.open(cells.root / cells.table["file"].iloc[row]))


def test_released_patches_are_read_whole(patches):
    plan = plan_patches(patches, Geometry(None, "reflect"), target_px=224)
    assert plan.side_px.tolist() == [64] * 4
    assert plan.seen_um.tolist() == [16.0] * 4
    for row in range(4):
        np.testing.assert_array_equal(plan.read(row), pixels_of(patches, row))


def test_a_smaller_window_is_the_middle_of_a_patch(patches):
    plan = plan_patches(patches, Geometry(8.0, "reflect"), target_px=224)
    np.testing.assert_array_equal(plan.read(2), pixels_of(patches, 2)[16:48, 16:48])


def test_a_released_patchs_own_resolution_is_whoevers_cropped_it(patches, tmp_path):
    for number in range(4):
        pixels = pixels_of(patches, number)
        Image.fromarray(pixels).save(tmp_path / f"{number}.tif", dpi=(101_600, 101_600))  # 0.25 um/px would be right
    table = patches.table.assign(file=[f"{number}.tif" for number in range(4)], mpp=0.5)
    plan = plan_patches(dataclasses.replace(patches, table=table), Geometry(None, "reflect"), target_px=224)
    assert plan.mpp.tolist() == [0.5] * 4
    assert plan.mpp_disagreements == ()


def test_a_larger_window_needs_an_edge_rule_by_name(patches):
    with pytest.raises(DataError, match=r"a window of 24 um is 96 px, larger than the 64 px patches \(16.0 um\)"):
        plan_patches(patches, Geometry(24.0, "reflect"), target_px=224)
    for edge, mode in (("reflect", "symmetric"), ("black", "constant")):
        plan = plan_patches(patches, Geometry(24.0, edge), target_px=224, edge_named=True)
        padded = np.pad(pixels_of(patches, 0), ((16, 16), (16, 16), (0, 0)), mode=mode)
        np.testing.assert_array_equal(plan.read(0), padded)
        assert plan.beyond_border.all()
        assert plan.seen_um[0] == 24


def test_a_patch_of_another_size_is_named(patches):
    Image.new("RGB", (65, 64)).save(patches.root / "2.png")
    with pytest.raises(DataError, match=r"patch 2.png has 65 x 64 px, and the patches of dataset 'toy' have 64 x 64"):
        plan_patches(patches, Geometry(None, "reflect"), target_px=224)


@pytest.mark.parametrize("impossible", [(0.0, "reflect"), (-5.0, "reflect"), (float("nan"), "black"), (56.0, "wrap")])
def test_an_impossible_geometry_is_refused(impossible):
    with pytest.raises(ProtocolError, match=r"cannot be meant|must be one of reflect, black"):
        Geometry(*impossible)


def test_whole_slides_need_a_window(tmp_path, make_spec):
    Image.new("RGB", (300, 300)).save(tmp_path / "a.png")
    cells = cells_at(tmp_path, make_spec, [("a.png", 150, 150), ("a.png", 9, 9)])
    with pytest.raises(ProtocolError, match=r"the whole patch"):
        plan_patches(cells, Geometry(None, "reflect"), target_px=224)
    with pytest.raises(ProtocolError, match=r"less than 2 px at 0.25 um/px"):
        plan_patches(cells, Geometry(0.3, "reflect"), target_px=224)


def test_row_keys_name_what_is_seen(tmp_path, make_spec):
    Image.fromarray(RNG.integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "a.png").read_bytes())
    Image.fromarray(RNG.integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(tmp_path / "b.png")
    places = [
        ("a.png", 150, 150),
        ("copy.png", 150, 150),
        ("b.png", 150, 150),
        ("a.png", 151, 150),
        ("a.png", 150.2, 150.4),
    ]
    cells = cells_at(tmp_path, make_spec, places)

    def keys(geometry=WINDOW, cells=cells):
        plan = plan_patches(cells, geometry, target_px=224)
        made = plan.row_keys()
        assert made.shape == (5, 16)
        assert made.dtype == np.uint8
        return plan, [key.tobytes() for key in made]

    plan, made = keys()
    assert made[0] == made[1] == made[4]
    np.testing.assert_array_equal(plan.read(0), plan.read(4))
    assert len({made[0], made[2], made[3]}) == 3
    content = storage.content_id(tmp_path / "a.png")
    assert made[0] == hashlib.sha256(f"{content} 38 38 224 reflect".encode()).digest()[:16]
    assert not set(made) & set(keys(Geometry(56.0, "black"))[1])
    assert not set(made) & set(keys(Geometry(57.0, "reflect"))[1])
    relabelled = cells_at(tmp_path, make_spec, [places[2], *places[:2], *places[3:]])
    assert keys(cells=relabelled)[1] == [made[2], made[0], made[1], *made[3:]], "a label is no part of the key"


def test_reading_order_goes_by_file_and_band(tmp_path, make_spec):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (1300, 1300)).save(tmp_path / name)
    places = [("b.png", 5, 5), ("a.png", 900, 1200), ("a.png", 900, 20), ("a.png", 30, 500), ("a.png", 50, 1100)]
    plan = plan_patches(cells_at(tmp_path, make_spec, places), WINDOW, target_px=224)
    assert plan.reading_order().tolist() == [3, 2, 4, 1, 0]


def test_a_plan_reads_the_same_in_threads_and_after_pickling(patches):
    plan = plan_patches(patches, Geometry(None, "reflect"), target_px=224)
    with ThreadPoolExecutor(4) as threads:
        windows = list(threads.map(plan.read, list(range(4)) * 10))
    again = pickle.loads(pickle.dumps(plan))
    for number, window in enumerate(windows):
        np.testing.assert_array_equal(window, pixels_of(patches, number % 4))
    np.testing.assert_array_equal(again.read(3), windows[3])
