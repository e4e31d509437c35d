"""Runs on shared storage: taken whole, grown whole, and nothing of a stranger's is written where it does not belong."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mitozoo.errors import DataError, StorageError
from mitozoo.results.find_run import all_runs, find_run
from mitozoo.results.row import DONE, Axes, ResultRow
from mitozoo.results.run_folder import RESULT, SCHEMA, RunFolder, dump
from mitozoo.results.shared_runs import SharedRuns, front_of

if TYPE_CHECKING:
    from pathlib import Path

RUN_ID = "abcdef012345" + "6" * 52
NAME = f"a-d-p-{RUN_ID[:12]}"


@pytest.fixture
def url(tmp_path) -> str:
    return (tmp_path / "shared" / "runs").as_uri()


@pytest.fixture
def runs(tmp_path, monkeypatch, url):
    """Return a function that gives the shared runs as another machine sees them."""

    def on(name: str) -> SharedRuns:
        monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / name))
        return SharedRuns(url)

    return on


def finish(folder: Path, seeds: range, salt: str = "") -> RunFolder:
    """Make a run of so many rows, as an evaluation leaves it."""
    run = RunFolder(folder)
    for seed in seeds:
        axes = Axes(0, seed, 1.0)
        if not run.has(axes):
            run.write_row(ResultRow(axes, DONE, test=np.arange(3), test_scores=np.full(3, seed / 10), reason=salt))
    names = [f"rows/{path.name}" for path in run.row_files()]
    for table in ("cells.parquet", "splits.parquet", "predictions.parquet"):
        (folder / table).write_text(f"{table} of {names if table != 'cells.parquet' else ''}")
    files = [*names, "cells.parquet", "splits.parquet", "predictions.parquet"]
    hashed = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    run.write_json(RESULT, {"schema": SCHEMA, "run_id": RUN_ID, "files": hashed})
    run.append_compute({"made": salt})
    return run


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name not in (".lock", "compute.json"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def put(shared: SharedRuns, seeds: range, salt: str = "") -> RunFolder:
    made = finish(shared.front / NAME, seeds, salt)
    shared.put(made)
    return made


def test_a_run_is_taken_as_it_was_put(runs, url):
    made = put(runs("one"), range(2))
    other = runs("other")
    assert other.names() == [NAME]
    taken = RunFolder(other.front / NAME)
    other.take(taken)
    assert files_of(taken.path) == files_of(made.path)
    assert taken.path != made.path
    for name in (f"{url}/{NAME}", f"{url}/{NAME}/", f"{url}/{NAME}/result.json"):
        assert files_of(find_run(name, "runs")) == files_of(made.path)
    for name in (NAME, "a-d", "abc", RUN_ID, RUN_ID[:20]):
        assert find_run(name, url).name == NAME
    assert [path.name for path in all_runs(url)] == [NAME]


def test_a_run_grows_and_never_shrinks(runs):
    one, other = runs("one"), runs("other")
    put(one, range(1))
    grown = RunFolder(other.front / NAME)
    other.take(grown)
    finish(grown.path, range(3))
    other.put(grown)
    small = RunFolder(one.front / NAME)
    one.put(small)  # a machine that did less leaves it
    one.take(small)
    assert files_of(small.path) == files_of(grown.path)
    assert len(small.rows()) == 3


def test_rows_of_both_machines_are_kept(runs):
    one, other = runs("one"), runs("other")
    put(one, range(2))
    mine = finish(other.front / NAME, range(2, 4))
    mine.path.joinpath(RESULT).unlink()  # killed before its document
    other.take(mine)
    assert [row.axes.seed for row in mine.rows()] == [0, 1, 2, 3]
    assert mine.result() is None  # which the machine's own rows do not fit to
    finish(mine.path, range(4))
    other.put(mine)
    third = RunFolder(runs("third").front / NAME)
    SharedRuns(one.shared.place).take(third)
    assert len(third.rows()) == 4


def test_a_row_that_is_here_is_never_replaced(runs):
    put(runs("one"), range(2))
    other = runs("other")
    mine = finish(other.front / NAME, range(1), salt="another device")
    before = files_of(mine.path)
    other.take(mine)
    after = files_of(mine.path)
    assert {name: after[name] for name in before} == before
    assert len(mine.rows()) == 2


def test_an_upload_that_was_cut_is_no_run(runs, url, monkeypatch):
    class Cut(Exception):
        pass

    one = runs("one")
    made = put(one, range(1))
    before = files_of(made.path)
    finish(made.path, range(3))
    write = type(one.shared).write

    def cut(shared, path: str, content: bytes) -> None:
        if path.endswith(RESULT):
            raise Cut
        write(shared, path, content)

    monkeypatch.setattr(type(one.shared), "write", cut)
    with pytest.raises(Cut):
        one.put(made)
    monkeypatch.undo()
    runs("other")
    assert files_of(find_run(f"{url}/{NAME}", "runs")) == before  # as it was, not half of each
    SharedRuns(url).put(made)
    assert files_of(find_run(f"{url}/{NAME}", "runs")) == files_of(made.path)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "removed"])
@pytest.mark.parametrize("which", ["predictions.parquet", "rows/fold0-seed1-fraction1.safetensors"])
def test_a_damaged_file_is_not_taken_and_is_put_right(which, damage, runs, url, tmp_path):
    made = put(runs("one"), range(2))
    path = tmp_path / "shared" / "runs" / NAME / "files" / made.result()["files"][which]
    content = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if damage == "truncated" else content[:-1] + bytes([content[-1] ^ 1]))
    other = runs("other")
    with pytest.raises(StorageError, match="is damaged"):
        find_run(f"{url}/{NAME}", "runs")
    taken = RunFolder(other.front / NAME)
    other.take(taken)
    assert taken.result() is None
    assert len(taken.rows()) == (2 if "rows" not in which else 1)  # what is sound is kept
    other.put(finish(taken.path, range(2)))
    assert path.read_bytes() == content
    assert files_of(find_run(f"{url}/{NAME}", "runs")) == files_of(made.path)


STRANGE = [
    "../../../planted",
    "rows/../../planted.safetensors",
    "/etc/planted",
    "result.json",
    "rows/.planted.safetensors",
]


@pytest.mark.parametrize("named", STRANGE)
def test_a_strangers_document_names_no_other_files(named, runs, url):
    one = runs("one")
    document = put(one, range(1)).result()
    forged = document | {"files": document["files"] | {named: "0" * 64}}
    one.shared.write(f"{NAME}/{RESULT}", dump(forged).encode())
    other = runs("other")
    for attempt in (lambda: other.take(RunFolder(other.front / NAME)), lambda: find_run(f"{url}/{NAME}", "runs")):
        with pytest.raises(StorageError, match="names files that no run has"):
            attempt()
    assert not (other.front / NAME).exists() or files_of(other.front / NAME) == {}


@pytest.mark.parametrize(
    ("document", "said"),
    [(b"{", "no result document"), (b"[" * 100_000, "no result document"), (b"[]", "has schema None"),
     (dump({"schema": SCHEMA, "run_id": RUN_ID}).encode(), "names files"),
     (dump({"schema": SCHEMA, "run_id": RUN_ID, "files": {"cells.parquet": "../x"}}).encode(), "names files"),
     (dump({"schema": SCHEMA, "run_id": "f" * 64, "files": {}}).encode(), "of another run")],
)  # fmt: skip
def test_what_is_no_document_is_said(document, said, runs):
    runs("one").shared.write(f"{NAME}/{RESULT}", document)
    other = runs("other")
    with pytest.raises(StorageError, match=said):
        other.take(RunFolder(other.front / NAME))


def test_a_control_that_a_document_names_is_a_run_beside_it(runs, url):
    one = runs("one")
    document = put(one, range(1)).result()
    controls = {"colour-statistics": {"run": "../../planted"}, "random-init": {"run": NAME}, "other": {"refused": "no"}}
    one.shared.write(f"{NAME}/{RESULT}", json.dumps(document | {"image_controls": controls}).encode())
    other = runs("other")
    assert find_run(f"{url}/{NAME}", "runs").parent.parent == other.front
    assert [path.name for path in other.front.glob("*/*")] == [NAME]


def test_what_is_not_there_is_said(runs, url):
    runs("one").shared.write("unfinished-123/compute.json", b"{}")
    for name in ("unfinished", "x", ""):
        with pytest.raises(DataError, match="there is no"):
            find_run(name, url)
    assert all_runs(url) == []


def test_two_urls_have_two_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path))
    fronts = {front_of(url) for url in ("s3://a/b", "s3://a-b", "s3://a/b/", "gs://a/b")}
    assert len(fronts) == 3
    assert all(front.parent == tmp_path / "shared-runs" for front in fronts)


def test_the_machine_that_has_a_run_puts_up_again_what_went_missing(runs, url, tmp_path):
    made = put(runs("one"), range(2))
    path = tmp_path / "shared" / "runs" / NAME / "files" / made.result()["files"]["cells.parquet"]
    content = path.read_bytes()
    path.unlink()
    SharedRuns(url).put(made)
    assert path.read_bytes() == content
