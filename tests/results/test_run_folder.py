"""A run's folder: rows come back as they were, and a run is found by whatever unmistakably names it."""

from __future__ import annotations

import dataclasses
import json
import platform
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mitozoo import leftovers
from mitozoo.errors import DataError, StorageError
from mitozoo.results.find_run import all_runs, find_run
from mitozoo.results.row import DONE, SKIPPED, Axes, ResultRow, read_row
from mitozoo.results.run_folder import RESULT, SCHEMA, RunFolder

if TYPE_CHECKING:
    from pathlib import Path

ROW = ResultRow(
    axes=Axes(2, 1, 0.1), status=DONE, train=np.array([0, 2, 5]), inner_parts=(np.array([0]), np.array([2, 5])),
    test=np.array([1, 3]), test_scores=np.array([0.1, 1 / 3]), validation_scores=np.array([0.5, 1e-300, 1.0]),
    threshold=0.1 + 0.2, selected={"lambda": 1e-5}, converged=False, flags=("a flag",),
    tensors={"weight": np.arange(3.0), "bias": np.zeros(1, dtype=np.float32)},
)  # fmt: skip


def test_a_row_comes_back_as_it_was(tmp_path):
    path = tmp_path / f"{ROW.axes.row_id}.safetensors"
    ROW.write(path)
    assert path.name == "fold2-seed1-fraction0.1.safetensors"
    back = read_row(path)
    for name in ("axes", "status", "reason", "threshold", "selected", "converged", "flags"):
        assert getattr(back, name) == getattr(ROW, name), name
    for name in ("train", "test", "test_scores", "validation_scores"):
        assert np.array_equal(getattr(back, name), getattr(ROW, name)), name
    assert all(map(np.array_equal, back.inner_parts, ROW.inner_parts))
    written = path.read_bytes()
    ROW.write(path)
    assert path.read_bytes() == written


def test_what_lies_scattered_in_memory_is_written_in_its_order(tmp_path):
    scattered = np.arange(6.0).reshape(3, 2).T[0]
    dataclasses.replace(ROW, validation_scores=scattered, test_scores=scattered[::-1]).write(tmp_path / "r.safetensors")
    back = read_row(tmp_path / "r.safetensors")
    assert back.validation_scores.tolist() == [0, 2, 4]
    assert back.test_scores.tolist() == [4, 2, 0]


def test_the_fitted_head_lies_in_the_rows_file(tmp_path):
    from safetensors.numpy import load_file

    ROW.write(tmp_path / "row.safetensors")
    held = load_file(tmp_path / "row.safetensors")
    assert np.array_equal(held["fitted.weight"], np.arange(3.0))


def test_a_damaged_row_says_what_to_do(tmp_path):
    path = tmp_path / "row.safetensors"
    ROW.write(path)
    for content in (path.read_bytes()[:-9], b"", b"x" * 100):
        path.write_bytes(content)
        with pytest.raises(StorageError, match="is damaged") as caught:
            read_row(path)
        assert "Delete that file" in str(caught.value)


def test_rows_stand_by_fraction_fold_and_seed(tmp_path):
    folder = RunFolder(tmp_path)
    axes = [Axes(0, 1, 0.1), Axes(1, 0, 1.0), Axes(0, 10, 1.0), Axes(0, 9, 1.0)]
    for each in axes:
        assert not folder.has(each)
        folder.write_row(ResultRow(each, SKIPPED, "too few"))
        assert folder.has(each)
    assert [row.axes for row in folder.rows()] == [axes[3], axes[2], axes[1], axes[0]]
    assert folder.rows()[0].reason == "too few"


NO_PROCESS = 2**22 + 1  # above any number that a system gives


def test_what_a_killed_process_left_is_cleaned(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.locked():
        for place in ("", "rows", "checkpoints"):
            (tmp_path / place).mkdir(exist_ok=True)
            (tmp_path / place / f"{leftovers.PREFIX}{platform.node()}.{NO_PROCESS}-0").touch()
        folder.write_row(ROW)
        folder.clean()
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".lock", "fold2-seed1-fraction0.1.safetensors", "rows"]


def test_compute_calls_are_appended_whatever_was_there(tmp_path):
    folder = RunFolder(tmp_path)
    folder.append_compute({"call": 1})
    folder.append_compute({"call": 2})
    assert json.loads((tmp_path / "compute.json").read_text()) == {"calls": [{"call": 1}, {"call": 2}]}
    (tmp_path / "compute.json").write_text("half a docu")
    folder.append_compute({"call": 3})
    assert json.loads((tmp_path / "compute.json").read_text()) == {"calls": [{"call": 3}]}


@pytest.fixture
def runs(tmp_path) -> Path:
    for name, identifier in (("a-d-p", "abcdef012345"), ("a-d-q", "abc000000000"), ("b-d-p", "123456789012")):
        folder = tmp_path / "runs" / f"{name}-{identifier}"
        folder.mkdir(parents=True)
        (folder / RESULT).write_text(json.dumps({"schema": SCHEMA, "run_id": identifier + "9" * 52}))
    unfinished = tmp_path / "runs" / "c-d-p-777777777777"
    (unfinished / "rows").mkdir(parents=True)
    return tmp_path / "runs"


def test_a_run_is_found_by_folder_document_name_or_id(runs, monkeypatch):
    wanted = runs / "a-d-p-abcdef012345"
    for name in (wanted, wanted / RESULT, wanted.name, "a-d-p", "abcd", "abcdef012345", "abcdef012345" + "9" * 52):
        assert find_run(str(name), runs) == wanted, name
    monkeypatch.chdir(wanted)
    assert find_run(".", runs).resolve() == wanted.resolve()
    assert [path.name[0] for path in all_runs(runs)] == ["a", "a", "b"]


def test_a_run_that_is_not_meant_is_not_found(runs):
    for name in ("x", "abcdef0123459999998", "d-p", "c-d-p", ""):
        with pytest.raises(DataError, match=f"there is no run '{name}'"):
            find_run(name, runs)
    with pytest.raises(DataError, match=r"'a-d' fits 2 runs in .*: a-d-p-abcdef012345, a-d-q-abc000000000"):
        find_run("a-d", runs)
    with pytest.raises(DataError, match="'abc' fits 2 runs"):
        find_run("abc", runs)
    with pytest.raises(DataError, match="has not finished"):
        find_run(str(runs / "c-d-p-777777777777"), runs)
    with pytest.raises(DataError, match="there is no run"):
        find_run("a", runs / "nowhere")
