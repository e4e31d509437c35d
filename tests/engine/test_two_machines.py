"""Machines that share a bucket: nothing is computed twice or lost by a cut line, and every RUN may be a URL."""

from __future__ import annotations

import gc
import json
import shutil
from typing import TYPE_CHECKING

import pytest
from bucket_server import bucket, s3_line
from click.testing import CliRunner
from tiny_zoo import contents

import mitozoo
from mitozoo.embeddings import shards
from mitozoo.errors import DataError, StorageError
from mitozoo.results.find_run import find_run
from mitozoo.results.shared_runs import SharedRuns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["bucket", "s3_line"]


@pytest.fixture
def machine(zoo, tmp_path, monkeypatch, bucket) -> Callable[[str], Path]:
    """Return a function that makes this process be on another machine: with caches of its own, empty but for slides."""
    monkeypatch.setattr(shards, "SHARD_CELLS", 30)
    monkeypatch.setenv("MITOZOO_SHARED_CACHE", f"{bucket}/cache")

    def be_on(name: str) -> Path:
        home = tmp_path / name
        if not home.exists():
            shutil.copytree(zoo, home / "datasets" / zoo.name)
        monkeypatch.setenv("MITOZOO_HOME", str(home))
        return home

    return be_on


def evaluate(bucket: str, **asked):
    return mitozoo.evaluate("steady", "tiny", out=f"{bucket}/runs", folds=2, **asked)


def embedded(result) -> int:
    """Return how many cells the last call embedded anew."""
    return json.loads((result.folder / "compute.json").read_text())["calls"][-1]["embedded_cells"]


@pytest.fixture(scope="module")
def undisturbed(zoo, tmp_path_factory) -> dict[str, bytes]:
    """Return the files of the run as one machine makes it alone."""
    with pytest.MonkeyPatch.context() as alone:
        alone.setattr(shards, "SHARD_CELLS", 30)
        return contents(mitozoo.evaluate("steady", "tiny", out=tmp_path_factory.mktemp("alone"), folds=2).folder)


def test_one_computes_and_the_other_finds(machine, bucket, loads, undisturbed):
    machine("one")
    first = evaluate(bucket)
    assert (loads(), embedded(first)) == (1, 168)
    machine("other")
    found = evaluate(bucket)
    assert loads() == 1
    assert found.document == first.document
    assert contents(found.folder) == contents(first.folder) == undisturbed
    assert found.folder != first.folder

    further = evaluate(bucket, seeds=2)  # rows are appended, by another machine
    assert (loads(), embedded(further)) == (1, 0)  # the embeddings came from the bucket
    knn = evaluate(bucket, protocol="knn")
    assert (loads(), embedded(knn)) == (1, 0)
    machine("one")
    assert evaluate(bucket, seeds=2).document == further.document
    machine("third")
    assert evaluate(bucket).document == further.document  # a smaller command leaves the larger run as it is
    assert loads() == 1


def test_cut_anywhere_the_same_command_ends_the_same(machine, bucket, s3_line, undisturbed, monkeypatch, caplog):
    """The line goes dead in the middle of an upload, an answer or a question; moments spread over all bytes sent."""
    sent, cuts = 0, 0
    for number, share in enumerate((None, 0.1, 0.5, 0.9)):
        place = f"{bucket}/{number}"
        monkeypatch.setenv("MITOZOO_SHARED_CACHE", f"{place}/cache")
        machine(f"writer-{number}")
        if share is None:
            s3_line.mend()
            evaluate(place)
            sent = s3_line.carried
            continue
        s3_line.cut_after(int(share * sent))
        with pytest.raises(StorageError, match="cannot ") as caught:
            evaluate(place)
        assert caught.value.hint is not None
        assert "nothing was lost" in caught.value.hint
        cuts += s3_line.mend()
        again = evaluate(place)
        assert contents(again.folder) == undisturbed
        machine(f"reader-{number}")
        assert contents(find_run(f"{place}/runs/{again.folder.name}", "runs")) == undisturbed
    assert cuts == 3
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]  # no traceback beside the sentence


def test_a_run_that_was_damaged_there_is_made_anew(machine, bucket, undisturbed):
    machine("one")
    first = evaluate(bucket)
    runs = SharedRuns(f"{bucket}/runs")
    system, root = runs.shared._opened
    path = f"{root}/{first.folder.name}/files/{first.document['files']['predictions.parquet']}"
    content = system.cat_file(path)
    system.pipe_file(path, content[:-1] + bytes([content[-1] ^ 1]))
    machine("other")
    with pytest.raises(StorageError, match="is damaged"):
        find_run(f"{bucket}/runs/{first.folder.name}", "runs")
    assert contents(evaluate(bucket).folder) == undisturbed
    assert system.cat_file(path) == content


def test_every_run_may_be_a_url(machine, bucket, tmp_path):
    from mitozoo.cli.compare import compare
    from mitozoo.cli.evaluate import evaluate as evaluate_command
    from mitozoo.cli.report import report
    from mitozoo.cli.runs import runs, verify

    machine("one")
    first = evaluate(bucket).folder.name
    invoke, out = CliRunner().invoke, ["--out", f"{bucket}/runs"]
    told = invoke(evaluate_command, ["-m", "shifted", "-d", "tiny", "--folds", "2", "--json", *out])
    second = f"shifted-tiny-linear-probe-{json.loads(told.stdout)['run_id'][:12]}"
    home = machine("other")
    listed = invoke(runs, out)
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == [second, first]
    assert not list(home.rglob("*.parquet"))  # documents alone
    done = invoke(verify, [f"{bucket}/runs/{first}/result.json"])
    assert (done.exit_code, done.stdout[:4]) == (0, "ok  ")
    assert invoke(verify, [first.rpartition("-")[2], *out]).exit_code == 0
    assert "auroc" in invoke(compare, [first, second, *out]).stdout
    page = tmp_path / "page.html"
    assert invoke(report, [first, f"{bucket}/runs/{second}", *out, "--no-pictures", "-o", str(page)]).exit_code == 0
    assert "shifted" in page.read_text()
    for name in ("steady-tiny-linear-probe-ffff", f"{first}0000"):
        with pytest.raises(DataError, match="there is no run"):
            find_run(name, f"{bucket}/runs")
    with pytest.raises(DataError, match="there is no run"):
        find_run(f"{bucket}/runs/none", "runs")
    with pytest.raises(DataError, match="fits 2 runs"):
        find_run("s", f"{bucket}/runs")
