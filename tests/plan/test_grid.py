"""A plan's file: every combination once, and one sentence for what cannot be meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mitozoo.errors import MitozooError
from mitozoo.plan.grid import read_plan
from mitozoo.plan.task import Asked

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
name = "both"
out = "results"
[[grid]]
models = ["uni", "virchow2"]
datasets = ["demo", { name = "ccmct", data = "slides/ccmct" }]
protocols = ["linear-probe", "end-to-end"]
fractions = [0.1, 1.0]
seeds = 3
perturb = ["blur"]
[grid.axes]
crop_um = [32, 56]
stain = ["none", "macenko"]
[[grid]]
models = ["uni", "own.py:Net"]
datasets = ["demo", "cells.csv"]
fractions = 0.5
[execution]
batch_size = 16
threads = 2
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "grid.toml"
    path.write_text(text)
    return path


def test_every_combination_once_with_paths_from_the_files_folder(tmp_path):
    (tmp_path / "own.py").write_text("")
    plan = read_plan(written(tmp_path, WHOLE))
    assert len(plan.runs) == 2 * 2 * 2 * 4 + 4 == len({asked.key for asked in plan.runs})
    requests = [asked.request for asked in plan.runs]
    assert {(request.crop_um, request.stain) for request in requests[:32]} == {
        (crop, stain) for crop in (32, 56) for stain in ("none", "macenko")
    }
    assert requests[0].fractions == (0.1, 1.0)
    assert requests[0].perturb == ("blur",)
    assert {request.data for request in requests} == {None, tmp_path / "slides" / "ccmct"}
    assert {request.batch_size for request in requests if request.protocol == "end-to-end"} == {None}
    assert {request.batch_size for request in requests if request.protocol == "linear-probe"} == {16}
    assert requests[-1].model == f"{tmp_path / 'own.py'}:Net"
    assert requests[-1].dataset == str(tmp_path / "cells.csv")
    assert {request.out for request in requests} == {tmp_path / "results"}
    assert plan.folder.parent == tmp_path / "results" / "plans"
    assert plan.folder == read_plan(tmp_path / "grid.toml").folder
    assert [Asked.of(asked.to_json()) for asked in plan.runs] == list(plan.runs)
    assert read_plan(tmp_path / "grid.toml", out=tmp_path / "else").out == tmp_path / "else"


GRID = '[[grid]]\nmodels = ["uni"]\ndatasets = ["demo"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models = [", "is no plan"),
        ("", "has no [[grid]]"),
        (GRID + "seed = 3", "'seed' is nothing that a plan knows; did you mean 'seeds'?"),
        (GRID + "[execution]\nworker = 3", "did you mean 'workers'?"),
        (GRID + "[execution]\nthreads = 0", "threads is 0"),
        (GRID + "[execution]\ntask_minutes = 'long'", "task_minutes is 'long'"),
        (GRID + "seeds = 'three'", "of the wrong kind"),
        (GRID + "fractions = [2]", "at most 1"),
        (GRID + "protocols = ['linear-prob']", "did you mean 'linear-probe'?"),
        (GRID + "[grid.axes]\ncrop_um = 3", "'crop_um' must be a list"),
        ('[[grid]]\nmodels = []\ndatasets = ["demo"]', "'models' must be a list with at least one entry"),
        ('[[grid]]\nmodels = ["uni"]', "'datasets' must be a list"),
        ("grid = 3", "must be a table"),
        (GRID + "batch_size = 3", "'batch_size' is nothing"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(tmp_path, text, said):
    with pytest.raises(MitozooError) as caught:
        read_plan(written(tmp_path, text))
    assert said in caught.value.message


def test_folders_of_further_datasets_start_from_the_files_folder_too(tmp_path):
    plan = read_plan(written(tmp_path, GRID + 'test_on = ["ccmct"]\ntest_data = { ccmct = "slides" }'))
    [asked] = plan.runs
    assert asked.request.test_data == {"ccmct": tmp_path / "slides"}
    assert Asked.of(asked.to_json()) == asked
