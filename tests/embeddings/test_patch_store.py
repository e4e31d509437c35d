"""The patch store: what is read back is what was written, real tissue around it, whatever was killed or damaged."""

from __future__ import annotations

import itertools
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from tiny_zoo import CELLS

from mitozoo.data.cells import read_cells
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import PatchPlan, plan_patches
from mitozoo.data.slides import shared_slide
from mitozoo.embeddings import patch_store
from mitozoo.embeddings.patch_store import store_patches
from mitozoo.errors import StorageError
from mitozoo.models.preprocessing import resample
from mitozoo.plugins.registry import load_registry

SHARDS = 4  # of 42 cells each


def plan_of(data, window_um=56.0, edge="reflect") -> PatchPlan:
    return plan_patches(read_cells(load_registry().dataset("tiny").spec, data), Geometry(window_um, edge), target_px=32)


@pytest.fixture
def plan(zoo, own_home):
    return plan_of(zoo)


@pytest.fixture
def preprocessing(zoo):
    return load_registry().model("steady").spec.preprocessing


@pytest.fixture
def small_shards(monkeypatch):
    """Return a function that lets a shard hold 42 cells of some margin."""

    def of(margin: int) -> None:
        monkeypatch.setattr(patch_store, "SHARD_BYTES", 42 * 3 * (32 + 2 * margin) ** 2)

    of(0)
    return of


def stored(plan, preprocessing, margin_share=0.0):
    """Return the stored patches, how many cells were read for them, and what was said."""
    seen, notes = [], []
    patches = store_patches(
        plan, preprocessing, margin_share=margin_share, on_progress=lambda done, total: seen.append((done, total)),
        on_note=notes.append,
    )  # fmt: skip
    assert all(one[0] < other[0] for one, other in itertools.pairwise(seen))
    assert not seen or seen[-1][0] == seen[-1][1]
    return patches, seen[-1][0] if seen else 0, notes


def contents(home):
    folder = home / "patches"
    kept = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((".held-", ".used")))
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def test_they_are_the_resampled_windows_and_are_read_once(plan, preprocessing, small_shards):
    patches, count, [note] = stored(plan, preprocessing)
    assert count == len(patches) == CELLS
    assert patches.shape == (CELLS, 32, 32, 3)
    assert note.startswith("the patch store will take 5 MB in ")
    assert len(patches.records) == SHARDS
    rows = np.random.default_rng(0).permutation(CELLS)
    expected = np.stack([resample(plan.read(int(row)), preprocessing) for row in rows])
    assert np.array_equal(patches[rows], expected)
    again, count, notes = stored(plan, preprocessing)
    assert (count, notes) == (0, [])
    assert np.array_equal(again[rows], expected)
    assert again.pixels == patches.pixels
    assert len(set(again.pixels)) == CELLS
    with pytest.raises(ValueError, match="read-only"):
        again.records[0][0] = 0


@pytest.mark.parametrize(("window_um", "edge"), [(32.0, "reflect"), (32.0, "black"), (56.0, "reflect")])
def test_around_a_patch_lies_the_tissue_that_lies_there(zoo, own_home, preprocessing, window_um, edge):
    """Its middle is, to the byte, what a probe is shown; at 1 px a px the whole record is a piece of the slide."""
    plan = plan_of(zoo, window_um, edge)
    patches, _, _ = stored(plan, preprocessing, margin_share=1 / 8)
    assert patches.margin == 4
    bare, _, _ = stored(plan, preprocessing)
    everything = np.arange(CELLS)
    assert np.array_equal(patches[everything][:, 4:-4, 4:-4], bare[everything])
    assert patches.pixels == bare.pixels
    scale = plan.side_px[0] / 32
    for row in range(0, CELLS, 5):
        slide = shared_slide(plan.file(row))
        whole = slide._decoded(0, 0, 0, *slide.size)
        padded = np.pad(whole, ((99, 99), (99, 99), (0, 0)), mode={"reflect": "symmetric", "black": "constant"}[edge])
        side = int(plan.side_px[row]) + 2 * round(4 * scale)
        left, top = (int(np.floor(at[row] - side / 2 + 0.5)) + 99 for at in (plan.x, plan.y))
        around = padded[top : top + side, left : left + side]
        if scale == 1:
            assert np.array_equal(patches[everything[row : row + 1]][0], around)
        else:
            from PIL import Image

            expected = np.asarray(Image.fromarray(around).resize((40, 40), Image.Resampling.BILINEAR), dtype=int)
            frame = np.ones((40, 40), dtype=bool)
            frame[4:-4, 4:-4] = False
            assert np.abs(patches[everything[row : row + 1]][0].astype(int) - expected)[frame].max() <= 1


def test_released_patches_and_the_authors_crops_have_no_margin(zoo, own_home, preprocessing):
    import dataclasses

    plan = plan_of(zoo)
    released = dataclasses.replace(plan.cells, spec=dataclasses.replace(plan.cells.spec, patch_px=64))
    plan = dataclasses.replace(plan, cells=released)
    assert stored(plan, preprocessing, margin_share=1 / 8)[0].margin == 0
    for geometry, expected in ((Geometry(56.0, "reflect", authors=True), False), (Geometry(56.0, "reflect"), True)):
        assert patch_store._has_surroundings(plan_of(zoo)) is True
        assert patch_store._has_surroundings(dataclasses.replace(plan_of(zoo), geometry=geometry)) is expected


@pytest.mark.parametrize(
    ("name", "damage"),
    [("records.npy", "flip"), ("records.npy", "truncate"), ("pixels.npy", "flip"), ("pixels.npy", "remove"),
     ("sha256", "flip"), ("sha256", "truncate")],
)  # fmt: skip
def test_a_damaged_shard_alone_is_made_anew(name, damage, plan, preprocessing, own_home, small_shards):
    stored(plan, preprocessing)
    before = contents(own_home)
    path = sorted((own_home / "patches").rglob(name))[2]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:-10])
    _, count, _ = stored(plan, preprocessing)
    assert count == CELLS // SHARDS
    assert contents(own_home) == before


def fill_and_die(data, shards, margin_share):
    """Store until so many shards are done, then end within the next, as a kill would."""
    made, filled = [], patch_store._filled

    def until(*arguments):
        for count in filled(*arguments):
            if len(made) == shards:
                os.kill(os.getpid(), signal.SIGKILL)
            yield count
        made.append(arguments)

    patch_store._filled = until
    store_patches(plan_of(data), load_registry().model("steady").spec.preprocessing, margin_share=margin_share)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="NOT TESTED: processes cannot be forked here")
def test_a_killed_one_goes_on_and_ends_with_the_same_bytes(zoo, own_home, plan, preprocessing, small_shards, tmp_path):
    small_shards(4)
    for expected in (1, 2):
        process = get_context("fork").Process(target=fill_and_die, args=(zoo, 1, 1 / 8))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        whole = [path for path in (own_home / "patches").glob("*/*") if not path.name.startswith(".")]
        assert len(whole) == expected
    patches, count, _ = stored(plan, preprocessing, margin_share=1 / 8)
    assert count == CELLS // 2
    resumed = contents(own_home)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MITOZOO_HOME", str(tmp_path / "undisturbed"))
        undisturbed, count, _ = stored(plan, preprocessing, margin_share=1 / 8)
        assert count == CELLS
        assert contents(tmp_path / "undisturbed") == resumed
    assert undisturbed.pixels == patches.pixels


def read_all(data):
    patches = store_patches(plan_of(data), load_registry().model("steady").spec.preprocessing)
    return patches[np.arange(len(patches))].tobytes()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="NOT TESTED: processes cannot be forked here")
def test_many_processes_fill_and_read_one_store(zoo, own_home, plan, preprocessing, small_shards):
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as readers:
        seen = list(readers.map(read_all, [zoo] * 4))
    assert set(seen) == {stored(plan, preprocessing)[0][np.arange(CELLS)].tobytes()}
    assert stored(plan, preprocessing)[1] == 0


def test_a_part_of_a_store_is_taken_whatever_else_changes(plan, preprocessing, zoo, own_home):
    stored(plan, preprocessing)
    assert stored(plan_of(zoo, 40.0), preprocessing)[1] == CELLS
    assert stored(plan, preprocessing, margin_share=1 / 8)[1] == CELLS
    assert stored(plan, preprocessing)[1] == 0


def test_room_is_asked_for_before_a_slide_is_read(plan, preprocessing, own_home, monkeypatch):
    monkeypatch.setattr(PatchPlan, "read", lambda *_: pytest.fail("a slide was read"))
    monkeypatch.setattr(patch_store, "OVERHEAD_BYTES", 10**18)
    notes = []
    with pytest.raises(StorageError, match=r"the patch store needs .* MB in .*patches"):
        store_patches(plan, preprocessing, on_note=notes.append)
    assert notes == []
