"""Several models in one call: the very same results and caches as one by one, from one pass over the slides."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tiny_zoo import CELLS, contents

import mitozoo
from mitozoo.cli.options import names_of_models
from mitozoo.data.cells import read_cells
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import plan_patches
from mitozoo.data.slide import Slide
from mitozoo.embeddings.reading import View, read_ahead
from mitozoo.engine.several import evaluate_several
from mitozoo.errors import ModelError
from mitozoo.models.preprocessing import resample
from mitozoo.plugins.registry import load_registry

MODELS = ("steady", "shifted", "chance")
ASKED = {"folds": 1, "controls": "labels", "batch_size": 16}


@pytest.fixture
def reads(monkeypatch):
    """Return the list of all windows that are truly read from slides."""
    made = []
    read = Slide.read

    def counted(self, x, y, *further):
        made.append((self.path.name, x, y))
        return read(self, x, y, *further)

    monkeypatch.setattr(Slide, "read", counted)
    return made


def caches(home):
    return {str(path.relative_to(home)): path.read_bytes() for path in (home / "embeddings").rglob("*.safetensors")}


@pytest.mark.parametrize("further", [{}, {"perturb": ("blur",), "stain": "reinhard"}], ids=["plain", "treated"])
def test_one_call_gives_the_bytes_of_three_and_reads_each_window_once(further, own_home, tmp_path, monkeypatch, reads):
    asked = ASKED | further
    together = [result.folder for result in evaluate_several(MODELS, "tiny", out=tmp_path / "together", **asked)]
    once, cached = len(reads), caches(own_home)
    assert once >= CELLS
    assert len(set(reads[:CELLS])) == CELLS
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    (own_home / "datasets").rename(tmp_path / "other" / "datasets")
    reads.clear()
    alone = [mitozoo.evaluate(model, "tiny", out=tmp_path / "alone", **asked).folder for model in MODELS]
    assert len(reads) == len(MODELS) * once
    assert [one.name for one in together] == [one.name for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert contents(one) == contents(other)
    assert caches(tmp_path / "other") == cached


def test_a_cached_model_reads_nothing_and_a_stored_run_is_returned(own_home, tmp_path, reads):
    mitozoo.evaluate("steady", "tiny", out=tmp_path, **ASKED)
    reads.clear()
    list(evaluate_several(MODELS, "tiny", out=tmp_path, **ASKED))
    assert len(reads) == CELLS
    list(evaluate_several(MODELS, "tiny", out=tmp_path, **ASKED))
    assert len(reads) == CELLS


def test_only_equal_windows_are_shared(zoo, reads):
    spec, preprocessing = load_registry().dataset("tiny").spec, load_registry().model("steady").spec.preprocessing
    plan = plan_patches(read_cells(spec, zoo), Geometry(56.0, "reflect"), target_px=32)
    sides = np.where(np.arange(CELLS) % 4, plan.side_px, 40)
    plans = [plan, dataclasses.replace(plan, target_px=48), dataclasses.replace(plan, side_px=sides)]
    views = [View(plans[0], preprocessing), View(plans[1], preprocessing, whole=True), View(plans[2], preprocessing)]
    [(seen, whole, other)] = read_ahead([(np.arange(CELLS), views)])
    assert len(reads) == CELLS + CELLS // 4
    for row in range(CELLS):
        assert np.array_equal(seen[0][row], resample(plan.read(row), preprocessing))
        assert np.array_equal(whole[0][row], plan.read(row))
        assert np.array_equal(other[0][row], resample(plans[2].read(row), preprocessing))
    assert np.array_equal(seen[1], whole[1])
    assert (seen[1] != other[1]).any(axis=1).tolist() == [row % 4 == 0 for row in range(CELLS)]


def test_what_memory_does_not_hold_together_goes_in_further_passes(own_home, tmp_path, monkeypatch, reads):
    monkeypatch.setattr("mitozoo.models.memory.free_bytes", lambda device: 0)
    list(evaluate_several(MODELS, "tiny", out=tmp_path, **ASKED))
    assert len(reads) == 2 * CELLS  # the first alone; the others state no parameters


def test_a_model_that_fails_stops_the_call_before_any_result(own_home, tmp_path):
    with pytest.raises(ModelError, match="model 'nan' gives NaN"):
        next(evaluate_several(("steady", "nan"), "tiny", out=tmp_path, **ASKED))


def test_names_are_divided_at_commas_outside_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b.py").write_text("")
    assert names_of_models(None, None, "uni, virchow,uni") == ("uni", "virchow")
    assert names_of_models(None, None, "a,b.py:N,uni,a,b.py:M") == ("a,b.py:N", "uni", "a,b.py:M")
    assert names_of_models(None, None, None) == ()
