"""The dataset `demo`: the same bytes each time, read like any real slide, and hard for the reasons it should be."""

from __future__ import annotations

import dataclasses
import filecmp
import sqlite3

import numpy as np
import openslide
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mitozoo.data.cells import read_cells
from mitozoo.data.folder import select_data_folder
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import plan_patches
from mitozoo.models.encoder import load_encoder
from mitozoo.models.preprocessing import normalise, resample
from mitozoo.results.tables import table_sha256
from mitozoo_plugin_controls import COLOUR_STATISTICS
from mitozoo_plugin_demo import DEMO, files
from mitozoo_plugin_imagenet import EFFICIENTNET_LITE0


@pytest.fixture(scope="module")
def two_cases(tmp_path_factory):
    """A dataset of one case of each scanner, with what the renderer said of its cells."""
    root = tmp_path_factory.mktemp("two-cases")
    return root, *write_two_cases(root)


def write_two_cases(root):
    (root / "slides").mkdir()
    cases = [files.plan_cases()[0], files.plan_cases()[-1]]
    rendered = [files.write_case(case, root / "slides") for case in cases]
    files.write_database(root / "demo.sqlite", zip(cases, rendered, strict=True))
    return cases, rendered


def test_it_is_the_same_bytes_at_each_call(two_cases, tmp_path):
    root, cases, _ = two_cases
    write_two_cases(tmp_path)
    names = ["demo.sqlite", *(f"slides/{case.filename}" for case in cases)]
    assert filecmp.cmpfiles(root, tmp_path, names, shallow=False) == (names, [], [])


def test_openslide_reads_its_levels_and_resolution(two_cases):
    root, cases, _ = two_cases
    for case in cases:
        with openslide.OpenSlide(root / "slides" / case.filename) as slide:
            assert slide.level_dimensions == ((1024, 1024), (512, 512), (256, 256))
            assert float(slide.properties[openslide.PROPERTY_NAME_MPP_X]) == pytest.approx(0.25)
            assert float(slide.properties[openslide.PROPERTY_NAME_MPP_Y]) == pytest.approx(0.25)
            fine = np.asarray(slide.read_region((0, 0), 0, (1024, 1024)).convert("RGB"), dtype=float)
            coarse = np.asarray(slide.read_region((0, 0), 1, (512, 512)).convert("RGB"), dtype=float)
        np.testing.assert_allclose(coarse, fine.reshape(512, 2, 512, 2, 3).mean(axis=(1, 3)), atol=0.5)


def test_its_cells_are_what_was_rendered(two_cases):
    root, cases, rendered = two_cases
    cells = read_cells(DEMO, root)
    table = cells.table.sort_values("cell_id", key=lambda ids: ids.astype(int))
    truth = [(case.filename, case.scanner, cell) for case, one in zip(cases, rendered, strict=True) for cell in one]
    assert table["slide"].tolist() == [name for name, _, _ in truth]
    assert table["domain_scanner"].tolist() == [scanner for _, scanner, _ in truth]
    assert table[["x", "y"]].to_numpy().tolist() == [[cell.x, cell.y] for _, _, cell in truth]
    assert table["label"].tolist() == [int(cell.mitotic) for _, _, cell in truth]
    assert table["votes"].tolist() == [[int(vote) for vote in cell.votes] for _, _, cell in truth]
    assert table["label"].tolist() == [int(sum(votes) >= 2) for votes in table["votes"]]
    assert {sum(votes) for votes in table["votes"]} == {0, 1, 2, 3}  # raters agree on most cells, not on all
    assert sorted(cells.table.groupby("slide")["label"].sum()) == sorted(case.mitotic for case in cases)
    assert table["group"].nunique() == 2


def test_chromatin_lies_where_the_annotation_says(two_cases):
    cells = read_cells(DEMO, two_cases[0])
    plan = plan_patches(cells, Geometry(window_um=56, edge="reflect"), target_px=224)
    assert plan.mpp.tolist() == pytest.approx([0.25] * len(cells))
    assert 0 < plan.beyond_border.sum() < 0.3 * len(cells)  # a few cells need the edge rule
    for row in range(len(cells)):
        red = plan.read(row)[..., 0].astype(float)
        dark = red < 0.6 * np.median(red)
        assert dark[80:144, 80:144].sum() > 150  # condensed chromatin, where interphase nuclei are paler


def test_its_database_is_slide_runners(two_cases):
    with sqlite3.connect(two_cases[0] / "demo.sqlite") as database:
        names = [name for (name,) in database.execute("SELECT name FROM Classes ORDER BY uid")]
        types = database.execute("SELECT DISTINCT type FROM Annotations").fetchall()
        sizes = database.execute("SELECT DISTINCT width, height FROM Slides").fetchall()
    database.close()
    assert (names, types, sizes) == (["hard negative", "mitotic figure"], [(1,)], [(1024, 1024)])


def test_cases_are_many_and_unlike():
    cases = files.plan_cases()
    cells, mitotic = (np.array([getattr(case, name) for case in cases]) for name in ("cells", "mitotic"))
    assert len(cases) == len({case.filename for case in cases}) == 40
    assert [case.scanner for case in cases] == ["a"] * 20 + ["b"] * 20
    assert 1000 <= cells.sum() <= 2000
    share = mitotic / cells
    assert 0.1 < share.min() < 0.2
    assert 0.65 < share.max() < 0.75
    assert abs(share[:20].mean() - share[20:].mean()) < 0.03  # the scanner tells nothing of the class


@pytest.fixture(scope="module")
def demo_cells():
    """The whole dataset, made on first use as for any user."""
    return read_cells(DEMO, select_data_folder(DEMO, None))


def test_its_table_is_the_one_that_submissions_are_held_against(demo_cells):
    assert set(DEMO.table_sha256.values()) == {table_sha256(demo_cells.table)}


def embed(cells, spec, window_um):
    plan = plan_patches(cells, Geometry(window_um=window_um, edge="reflect"), target_px=spec.preprocessing.size)
    encoder = load_encoder(spec)
    vectors = np.empty((len(cells), spec.embed_dim), dtype=np.float32)
    with torch.inference_mode():
        for rows in np.array_split(plan.reading_order(), len(cells) // 50):
            batch = np.stack([resample(plan.read(row), spec.preprocessing) for row in rows])
            vectors[rows] = encoder(normalise(torch.from_numpy(batch), spec.preprocessing)).numpy()
    return vectors


@pytest.fixture(scope="module")
def half(demo_cells):
    """Return the cells of every second case, as many of either scanner: they say the same at half the price."""
    numbers = demo_cells.table["slide"].str.extract(r"(\d+)", expand=False).astype(int)
    return dataclasses.replace(demo_cells, table=demo_cells.table[numbers % 2 == 0].reset_index(drop=True))


@pytest.fixture(scope="module")
def embeddings(half):
    return embed(half, EFFICIENTNET_LITE0, window_um=56)


def auroc(cells, vectors, train, test, penalty):
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=1000))
    probe.fit(vectors[train], cells.labels[train])
    return roc_auc_score(cells.labels[test], probe.decision_function(vectors[test]))


def folds(cells, rows, count):
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=0)
    return [(rows[train], rows[test]) for train, test in splitter.split(rows, cells.labels[rows], cells.groups[rows])]


def cross_validated(cells, vectors, penalty):
    outer = folds(cells, np.arange(len(cells)), 5)
    return np.mean([auroc(cells, vectors, train, test, penalty) for train, test in outer])


@pytest.mark.slow
def test_a_probe_finds_it_neither_trivial_nor_hopeless(half, embeddings):
    assert 0.75 < cross_validated(half, embeddings, penalty=1e-3) < 0.95


@pytest.mark.slow
@pytest.mark.parametrize("window_um", [56, 16])
def test_colours_alone_say_little(half, window_um):
    colours = embed(half, COLOUR_STATISTICS, window_um)
    assert max(cross_validated(half, colours, penalty) for penalty in (1e-3, 1e-2, 1e-1, 1)) < 0.65


@pytest.mark.slow
def test_the_scanners_differ(half, embeddings):
    """A probe of the other scanner's cells is worse than one of as many cells of this scanner's other cases."""
    scanner = half.table["domain_scanner"].to_numpy()
    drops = []
    for here in ("a", "b"):
        away = np.flatnonzero(scanner != here)
        away = away[np.argsort(half.groups[away], kind="stable")]
        for train, test in folds(half, np.flatnonzero(scanner == here), 4):
            own, other = (auroc(half, embeddings, rows, test, 1e-3) for rows in (train, away[: len(train)]))
            drops.append(own - other)
    assert np.mean(drops) >= 0.03
