"""`eval`, `embed`, `runs` and `verify`: one clear sentence for every mistake, and stdout for programs alone."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import click.testing
import pytest
from tiny_distributions import run_mitozoo
from tiny_zoo import CELLS, copy_of

from mitozoo.cli import main
from mitozoo.embeddings.table import read_embeddings

if TYPE_CHECKING:
    from pathlib import Path


def mitozoo(*arguments) -> click.testing.Result:
    """Run the command in this process, where torch is there already."""
    return click.testing.CliRunner().invoke(main, list(map(str, arguments)), prog_name="mitozoo")


def refused(*arguments, code: int = 2) -> str:
    """Return what a command says that must fail: one sentence and at most one line of advice."""
    done = mitozoo(*arguments)
    assert done.exit_code == code, (done.output, done.exception)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) <= 2, lines
    assert lines[0].startswith("Error: ")
    return done.stderr


@pytest.fixture(scope="module")
def runs(zoo, tmp_path_factory) -> Path:
    """Return a folder with one finished run."""
    out = tmp_path_factory.mktemp("runs")
    assert mitozoo("eval", "-m", "steady", "-d", "tiny", "--out", out).exit_code == 0
    return out


def test_json_is_alone_on_stdout_and_is_the_document(runs):
    done = mitozoo("eval", "--model", "steady", "--dataset", "tiny", "--out", runs, "--json")
    assert done.exit_code == 0
    [folder] = runs.iterdir()
    assert done.stdout == (folder / "result.json").read_text()
    assert done.stderr == ""


def test_people_read_stderr(runs):
    done = mitozoo("eval", "-m", "steady", "-d", "tiny", "--out", runs)
    assert done.stdout == ""
    assert done.stderr.startswith("steady on tiny, linear-probe@1\n")
    assert "within slide auroc" in done.stderr
    assert "56 <b>upright</b> (positive)" in done.stderr
    assert "DOES NOT BEAT" not in done.stderr
    assert f"check it with: mitozoo verify {next(runs.iterdir())}" in done.stderr


def test_a_model_that_knows_nothing_is_told_loudly(zoo, tmp_path):
    done = mitozoo("eval", "-m", "chance", "-d", "tiny", "--folds", 1, "--out", tmp_path)
    assert done.exit_code == 0
    assert "DOES NOT BEAT the control that never sees the image" in done.stderr


def test_the_real_command(zoo_site, isolated_home, tmp_path):
    done = run_mitozoo(
        "eval", "-m", "steady", "-d", "tiny", "--fractions", "0.5,1", "--set", "inner_folds=3", "--crop-um", "48",
        "--folds", "2", "--json", sites=(zoo_site,), cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["protocol"]["name"] == "linear-probe@1+inner_folds=3"
    assert document["conditions"]["crop_um"] == 48
    assert document["geometry"]["window_um"] == 48
    assert (tmp_path / "runs" / f"steady-tiny-linear-probe-{document['run_id'][:12]}" / "result.json").is_file()


def test_runs(runs, tmp_path):
    [folder] = runs.iterdir()
    listed = mitozoo("runs", "--out", runs)
    headers = ["RUN", "MODEL", "DATASET", "PROTOCOL", "AUROC", "PRETRAINING", "MARKS"]
    assert listed.stdout.splitlines()[0].split() == headers
    assert listed.stdout.splitlines()[1].split()[:4] == [folder.name, "steady", "tiny", "linear-probe"]
    [entry] = json.loads(mitozoo("runs", "--out", runs, "--json").stdout)
    assert entry["folder"] == str(folder)
    assert entry["marks"] == ["synthetic data"]
    none = mitozoo("runs", "--out", tmp_path)
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", f"no runs in {tmp_path}\n")
    assert json.loads(mitozoo("runs", "--out", tmp_path / "nowhere", "--json").stdout) == []


def test_a_broken_run_does_not_hide_the_others(runs, tmp_path):
    out = shutil.copytree(runs, tmp_path / "runs")
    for name, text in (("a", "{"), ("b", '{"schema": "mitozoo-result/1"}'), ("c", '{"schema": "mitozoo-result/2"}')):
        (out / name).mkdir()
        (out / name / "result.json").write_text(text)
    listed = mitozoo("runs", "--out", out)
    assert listed.exit_code == 0
    assert len(listed.stdout.splitlines()) == 2
    assert [line.split(":")[0] for line in listed.stderr.splitlines()] == [f"left out {out / name}" for name in "abc"]


def test_verify(runs, tmp_path):
    [folder] = runs.iterdir()
    for name in (folder, folder / "result.json", folder.name[:12], folder.name.rpartition("-")[2][:5]):
        done = mitozoo("verify", name, "--out", runs)
        assert done.exit_code == 0, done.output
        assert all(line.startswith("ok  ") for line in done.stdout.splitlines())
    checked = json.loads(mitozoo("verify", folder, "--json").stdout)
    assert checked["verified"] is True
    assert len(checked["checked"]) == 6
    assert "there is no run 'x'" in refused("verify", "x", "--out", runs)

    copy = shutil.copytree(folder, tmp_path / folder.name)
    document = json.loads((copy / "result.json").read_text())
    document["summary"][0]["metrics"]["auroc"]["mean"] = 0.999
    (copy / "result.json").write_text(json.dumps(document))
    said = refused("verify", copy, code=1)
    assert "summary.0.metrics.auroc.mean is recorded as 0.999, recomputed as" in said
    (copy / "cells.parquet").unlink()
    assert "cells.parquet is missing" in refused("verify", copy)
    (copy / "result.json").write_text('{"schema": "mitozoo-result/9"}')
    assert "has schema 'mitozoo-result/9'; this version of mitozoo reads mitozoo-result/1" in refused("verify", copy)


def test_embed_and_eval_of_what_it_wrote(runs, zoo, tmp_path):
    path = tmp_path / "mine.safetensors"
    done = mitozoo("embed", "-m", "steady", "-d", "tiny", "-o", path)
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"{CELLS} embeddings in {path}" in done.stderr
    provenance = read_embeddings(path).provenance
    assert (provenance["model"]["name"], provenance["window_um"], provenance["precision"]) == ("steady", 56.0, "fp32")
    done = mitozoo("eval", "--embeddings", path, "-d", "tiny", "--out", tmp_path / "runs", "--json")
    document = json.loads(done.stdout)
    assert "brought embeddings" in document["marks"]
    own = json.loads((next(runs.iterdir()) / "result.json").read_text())
    assert document["scores"] == own["scores"]


def edited(data: Path, folder: Path, **values: str) -> Path:
    """Copy a dataset's folder and change the first cell, or every cell where a value begins with '*'."""
    copy_of(data, folder)
    with (folder / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name, value in values.items():
        for row in rows if value.startswith("*") else rows[:1]:
            row[name] = value.removeprefix("*")
    with (folder / "cells.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return folder


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"label": "??"}, "cells.csv, line 2: unknown label '??'; dataset 'tiny' knows 'MF' (positive), 'HN' (hard)"),
        ({"label": "*MF"}, "dataset 'tiny' has one class only: all 168 cells are '<b>upright</b>'"),
        ({"label": "*HN"}, "none of the 168 cells of dataset 'tiny' is a '<b>upright</b>'"),
        ({"x": "4000"}, "cell cell-00-00 of dataset 'tiny' lies at (4000, "),
        ({"x": "nan"}, "x is 'nan'"),
        ({"slide": "slide-99"}, "slide-99.tif does not exist"),
        ({"slide": "*slide-00"}, "5 grouped folds need 5 groups of each class; there are only 1 of the rarer class"),
    ],
)
def test_cells_that_cannot_be(values, said, zoo, tmp_path):
    data = edited(zoo, tmp_path / "data", **values)
    assert said in refused("eval", "-m", "steady", "-d", "tiny", "--data", data, "--out", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_slides_that_cannot_be_read(zoo, tmp_path):
    data = copy_of(zoo, tmp_path / "data")
    for name, damage in (("slide-01", lambda whole: whole[: len(whole) // 2]), ("slide-02", lambda _: b"no image")):
        path = data / f"{name}.tif"
        path.write_bytes(damage(path.read_bytes()))
    said = refused("eval", "-m", "steady", "-d", "tiny", "--data", data, "--out", tmp_path / "runs")
    assert said.startswith("Error: 2 of 14 slides cannot be read: ")
    assert "slide-01.tif" in said
    assert "slide-02.tif" in said
    assert "--skip-unreadable" in said
    done = mitozoo(
        "eval", "-m", "steady", "-d", "tiny", "--data", data, "--out", tmp_path / "runs", "--skip-unreadable"
    )
    assert done.exit_code == 0
    assert "24 unreadable cells left out" in done.stderr


def test_the_data_folder(zoo, tmp_path):
    (tmp_path / "empty").mkdir()
    for data, said in ((tmp_path / "nowhere", "does not exist"), (tmp_path / "empty", "is empty")):
        assert f"the data folder {data} of dataset 'tiny' {said}" in refused(
            "eval", "-m", "steady", "-d", "tiny", "--data", data
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-m", "stedy", "-d", "tiny"), "there is no model 'stedy'\nDid you mean 'steady'"),
        (("-m", "steady", "-d", "tinny"), "there is no dataset 'tinny'\nDid you mean 'tiny'"),
        (("-m", "steady", "-d", "tiny", "-p", "linear-prob"), "no protocol 'linear-prob'; did you mean 'linear-probe'"),
        (("-m", "steady", "-d", "tiny", "-p", "linear-probe@7"), "is at version 1; version 7 is not shipped"),
        (("-m", "steady", "-d", "tiny", "--set", "lamdas=1"), "no parameter 'lamdas'; did you mean 'lambdas'"),
        (("-m", "steady", "-d", "tiny", "--set", "lambdas"), "--set is 'lambdas'; it must be KEY=VALUE"),
        (("-m", "steady", "-d", "tiny", "--set", "edge=white"), "edge is 'white'; it must be one of reflect, black"),
        (("-m", "steady", "-d", "tiny", "--crop-um", "big"), "crop-um are 'big'; they must be numbers"),
        (("-m", "steady", "-d", "tiny", "--fractions", "0.1;1"), "fractions are '0.1;1'; they must be numbers"),
        (("-m", "steady", "-d", "tiny", "--fractions", ""), "they must be numbers with commas between"),
        (("-m", "steady", "-d", "tiny", "--fractions", "2"), "fractions are 2; each must be above 0 and at most 1"),
        (("-m", "steady", "-d", "tiny", "--seeds", "0"), "seeds is 0; it must be at least 1"),
        (("-m", "steady", "-d", "tiny", "--device", "tpu"), "device 'tpu' is not available on this machine"),
        (("-d", "tiny"), "an evaluation needs a model, or embeddings in place of one"),
        (("-m", "wide", "-d", "tiny"), "model 'wide' declares embeddings of 17 values, but one image gives shape"),
        (("-m", "nan", "-d", "tiny"), "model 'nan' gives NaN or infinity for cell cell-"),
        (("-m", "steady", "-d", "tiny-leak"), "the split divides 1 groups between train and test"),
        (("-m", "steady", "-d", "tiny-few"), "there are only 3 of the rarer class\nUse --set outer_folds=3"),
        (("--embeddings", "none.parquet", "-d", "tiny"), "there is no embeddings file none.parquet"),
        (("--embeddings", "mine.npy", "-d", "tiny"), "mine.npy must end in .safetensors or .parquet"),
    ],
)
def test_commands_that_cannot_be_meant(arguments, said, zoo, tmp_path):
    assert said in refused("eval", *arguments, "--out", tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [("--seeds", "many"), ("--folds", "1.5"), ("--precision", "fp8"), ("--negatives", "soft"), ("--no-such-option",)],
)
def test_options_that_click_refuses(arguments, zoo):
    done = mitozoo("eval", "-m", "steady", "-d", "tiny", *arguments)
    assert done.exit_code == 2
    assert "Error: " in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-m", "stedy", "-d", "tiny", "-o", "x.parquet"), "Did you mean 'steady'"),
        (("-m", "steady", "-d", "tiny", "-o", "x.csv"), "x.csv must end in .safetensors or .parquet"),
        (("-m", "steady", "-d", "tiny", "-o", "/proc/nowhere/x.parquet"), "the file x.parquet cannot be written in"),
        (("-m", "steady", "-d", "tiny", "-o", "x.parquet", "--crop-um", "1"), "crop-um is 1; it must lie between"),
    ],
)
def test_embeddings_that_cannot_be_written(arguments, said, own_home, tmp_path, monkeypatch, loads):
    monkeypatch.chdir(tmp_path)
    assert said in refused("embed", *arguments)
    assert loads() == 0


@pytest.mark.parametrize("wrong", [("-m", "stedy", "-d", "tiny"), ("-m", "steady", "-d", "tinny")])
def test_a_typo_is_told_in_half_a_second(wrong, zoo_site):
    """Processor time, whatever else this machine does; and the heavy packages are not even imported."""
    before = os.times()
    done = run_mitozoo("eval", *wrong, sites=(zoo_site,), PYTHONPROFILEIMPORTTIME="1")
    after = os.times()
    assert done.returncode == 2
    assert "Did you mean" in done.stderr
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert "mitozoo.engine.request" in imported
    assert not {"torch", "pandas", "numpy", "rich"} & imported


@pytest.fixture
def small_disk(tmp_path):
    """Return a function that gives a file system of so many bytes."""
    mounted = []

    def make(size: int) -> Path:
        folder = tmp_path / f"disk-{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("NOT TESTED: a full disk needs the right to mount one")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def test_room_is_asked_for_before_work_starts(small_disk, own_home, tmp_path, loads):
    disk = small_disk(200_000)
    said = refused("eval", "-m", "steady", "-d", "tiny", "--out", disk / "runs")
    assert "the run folder needs 1 MB in" in said
    assert "but only 0 MB are free" in said
    (own_home / "embeddings").symlink_to(disk)
    assert "the embedding cache needs" in refused("eval", "-m", "steady", "-d", "tiny", "--out", tmp_path / "runs")
    assert loads() == 0
    (own_home / "patches").symlink_to(disk)
    said = refused("eval", "-m", "steady", "-d", "tiny", "-p", "end-to-end-short", "--out", tmp_path / "runs")
    assert "the patch store needs" in said
    assert loads() == 1  # whether the network can be trained at all is known before a patch is read
    assert list(tmp_path.rglob("result.json")) == []


@pytest.mark.parametrize(
    ("protocol", "written"), [("linear-probe", "rows/fold*"), ("end-to-end-short", "checkpoints/*.pt")]
)
def test_a_disk_that_fills_up_on_the_way(protocol, written, small_disk, own_home, tmp_path):
    """Room for the start is there; what is lost is only what did not fit, and the same command ends the work."""
    disk = small_disk(4_000_000)
    filler = disk / "filler"
    command = [sys.executable, "-m", "mitozoo", "eval", "-m", "steady", "-d", "tiny", "-p", protocol, "--seeds", "5"]
    command += ["--folds", "2", "--fractions", "0.5"]
    process = subprocess.Popen(
        [*command, "--out", str(disk / "runs")], stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    while process.poll() is None and not list(disk.glob(f"runs/*/{written}")):
        time.sleep(0.01)
    with filler.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                break
    stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 2
    assert "No space left on device" in stderr
    assert "free some space, then run the same command again; nothing was lost" in stderr
    assert "Traceback" not in stderr
    filler.unlink()
    done = mitozoo(*command[3:], "--out", disk / "runs")
    assert done.exit_code == 0, done.output
    assert mitozoo("verify", next((disk / "runs").iterdir())).exit_code == 0
