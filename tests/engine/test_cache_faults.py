"""Faults that really happen to a cache: told in a sentence, mended by the same command, to the same bytes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import torch
from tiny_zoo import CELLS, contents, copy_of

import mitozoo
from mitozoo.embeddings import embedder, patch_store, reading, shards
from mitozoo.embeddings.caches import list_caches, prune
from mitozoo.engine.progress import Progress
from mitozoo.errors import SlideError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="NOT TESTED: processes cannot be forked here")


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_CELLS", 30)


def evaluate(zoo: Path, out: Path, protocol="linear-probe", progress=None, model="steady", **asked):
    asked |= {"batch_size": 16} if protocol == "linear-probe" else {"settings": {"epochs": "1"}}
    return mitozoo.evaluate(model, "tiny", data=zoo, out=out, protocol=protocol, folds=1, progress=progress, **asked)


def embedded(result) -> int:
    return json.loads((result.folder / "compute.json").read_text())["calls"][-1]["embedded_cells"]


@pytest.fixture(scope="module")
def undisturbed(zoo, tmp_path_factory) -> Callable[[str], dict[str, bytes]]:
    """Return a function that gives the files of a run that nothing happened to."""
    made: dict[str, dict[str, bytes]] = {}

    def by(protocol: str) -> dict[str, bytes]:
        if protocol not in made:
            with pytest.MonkeyPatch.context() as alone:
                alone.setattr(shards, "SHARD_CELLS", 30)
                alone.setenv("MITOZOO_HOME", str(tmp_path_factory.mktemp("home")))
                made[protocol] = contents(evaluate(zoo, tmp_path_factory.mktemp("alone"), protocol).folder)
        return made[protocol]

    return by


@pytest.fixture
def small_disk(tmp_path, monkeypatch) -> Iterator[Path]:
    """Mount a disk of 40 MB that holds home and runs."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk], check=False).returncode
    ):
        pytest.skip("NOT TESTED: a disk that is full needs a mount, and that needs root")
    monkeypatch.setenv("MITOZOO_HOME", str(disk / "home"))
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


class FillsTheDisk(Progress):
    """Fills a disk to the last byte once a stage has begun to work, or once something was said."""

    def __init__(self, disk: Path, moment: str) -> None:
        super().__init__()
        self.ballast, self.moment = disk / "ballast", moment

    def fill(self) -> None:
        with contextlib.suppress(OSError), self.ballast.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    @contextlib.contextmanager
    def bar(self, name: str, unit: str):
        if name == self.moment == "metrics and intervals":  # it tells of no progress
            self.fill()
        yield lambda done, total: self.fill() if name == self.moment else None

    def note(self, text: str) -> None:
        if self.moment in text:
            self.fill()


@pytest.mark.parametrize(
    ("protocol", "moment"),
    [("linear-probe", "embeddings"), ("linear-probe", "probe"), ("linear-probe", "metrics and intervals"),
     ("end-to-end-short", "the patch store will take"), ("end-to-end-short", "training")],
)  # fmt: skip
def test_a_disk_that_fills_up_in_each_stage(protocol, moment, zoo, small_disk, undisturbed):
    expected = undisturbed(protocol)
    full = FillsTheDisk(small_disk, moment)
    with pytest.raises(StorageError) as caught:
        evaluate(zoo, small_disk / "runs", protocol, full)
    assert full.ballast.stat().st_size > 10**7, "it failed before the disk was full"
    assert "No space left on device" in caught.value.message
    assert "is full: free some space, then run the same command again; nothing was lost" in caught.value.hint
    full.ballast.unlink()
    assert contents(evaluate(zoo, small_disk / "runs", protocol).folder) == expected


def test_a_disk_without_room_is_told_before_work_starts(zoo, small_disk, loads):
    FillsTheDisk(small_disk, "").fill()
    with pytest.raises(StorageError, match=r"MB are free|No space left"):
        evaluate(zoo, small_disk / "runs")
    assert loads() == 0


@needs_fork
def test_a_file_that_may_not_grow(zoo, own_home, tmp_path, undisturbed):
    """Needs no root: the limit is real, and the process's own."""
    expected = undisturbed("linear-probe")

    def limited() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
        with pytest.raises(StorageError, match=r"cannot write .*File too large"):
            evaluate(zoo, tmp_path / "runs")

    assert in_children([limited]) == [0]
    assert contents(evaluate(zoo, tmp_path / "runs").folder) == expected


def in_children(acts: list[Callable[[], None]]) -> list[int]:
    """Have forked processes do something each, all at once; return their exit codes."""
    children = []
    for act in acts:
        if (child := os.fork()) == 0:
            code = 1
            try:
                torch.set_num_threads(1)  # the threads of OpenMP stayed with the parent, and would be waited for
                act()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


@needs_fork
def test_eight_processes_and_one_cold_cache(zoo, own_home, tmp_path, undisturbed, loads):
    """The cells are embedded once, whoever comes first, and all have the same result."""
    expected, before = undisturbed("linear-probe"), loads()
    assert in_children([lambda n=n: evaluate(zoo, tmp_path / f"{n}") for n in range(8)]) == [0] * 8
    runs = [next((tmp_path / str(number)).iterdir()) for number in range(8)]
    assert all(contents(run) == expected for run in runs)
    assert loads() == before + 1
    counts = [json.loads((run / "compute.json").read_text())["calls"][-1]["embedded_cells"] for run in runs]
    assert sorted(counts) == [0] * 7 + [CELLS]


@needs_fork
def test_eight_processes_and_one_run(zoo, own_home, tmp_path, undisturbed):
    expected = undisturbed("linear-probe")
    assert in_children([lambda: evaluate(zoo, tmp_path / "runs")] * 8) == [0] * 8
    [run] = (tmp_path / "runs").iterdir()
    assert contents(run) == expected
    assert len(json.loads((run / "compute.json").read_text())["calls"]) == 1


@pytest.fixture
def read_only(tmp_path) -> Iterator[Callable[[Path], None]]:
    """Return a function that makes a folder read-only, for root too."""
    mounted = []

    def protect(folder: Path) -> None:
        for options in ("bind", "remount,bind,ro"):
            if os.geteuid() != 0 or subprocess.run(["mount", "-o", options, folder, folder], check=False).returncode:
                pytest.skip("NOT TESTED: a folder that nobody can write to needs a mount, and that needs root")
            mounted.append(folder)

    yield protect
    for folder in dict.fromkeys(mounted):
        subprocess.run(["umount", folder], check=True)


def test_a_read_only_cache_is_read(zoo, own_home, tmp_path, read_only, undisturbed):
    evaluate(zoo, tmp_path / "first")
    read_only(own_home)
    again = evaluate(zoo, tmp_path / "runs")
    assert embedded(again) == 0
    assert contents(again.folder) == undisturbed("linear-probe")
    with pytest.raises(StorageError, match="the embedding cache cannot be written in") as caught:
        evaluate(zoo, tmp_path / "runs", model="shifted")
    assert "MITOZOO_HOME" in caught.value.hint


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def test_embeddings_swapped_between_models_and_slides(zoo, own_home, tmp_path, undisturbed):
    evaluate(zoo, tmp_path / "first")
    evaluate(zoo, tmp_path / "first", model="shifted")
    steady, shifted = (sorted(own_home.glob(f"embeddings/{name}-*/*.safetensors")) for name in ("steady", "shifted"))
    for one, other in zip(steady[:2], shifted[:2], strict=True):
        assert one.name == other.name
        swap(one, other)
    swap(steady[2], steady[3])
    again = evaluate(zoo, tmp_path / "runs")
    assert embedded(again) == 2 * 24  # those of the other model; rows know themselves
    assert contents(again.folder) == undisturbed("linear-probe")


def test_patches_swapped_between_shards(zoo, own_home, tmp_path, undisturbed, monkeypatch):
    monkeypatch.setattr(patch_store, "SHARD_BYTES", 42 * 3 * 40 * 40)
    evaluate(zoo, tmp_path / "first", "end-to-end-short")
    shards = sorted(own_home.glob("patches/*/[0-9a-f]*"))
    assert len(shards) == 4
    swap(shards[0], shards[2])
    assert contents(evaluate(zoo, tmp_path / "runs", "end-to-end-short").folder) == undisturbed("end-to-end-short")


def test_whatever_the_clock_said_when_files_were_written(zoo, own_home, tmp_path, undisturbed):
    """1970 and 2242: dates decide what a prune offers, and nothing else."""
    evaluate(zoo, tmp_path / "runs")
    evaluate(zoo, tmp_path / "runs", "end-to-end-short")
    for moment in (0, 2**33):
        for path in (*own_home.rglob("*"), *(tmp_path / "runs").rglob("*")):
            os.utime(path, (moment, moment))
        again = evaluate(zoo, tmp_path / f"again-{moment}")
        assert embedded(again) == 0
        assert contents(again.folder) == undisturbed("linear-probe")
        stored = evaluate(zoo, tmp_path / "runs", "end-to-end-short")
        assert contents(stored.folder) == undisturbed("end-to-end-short")
        prune([])
        assert {"dataset", "embeddings", "patches"} == {entry.kind for entry in list_caches()}


def test_a_slide_that_goes_away_and_comes_back(zoo, own_home, tmp_path, monkeypatch, undisturbed):
    data, forward = copy_of(zoo, tmp_path / "data"), embedder.run_network

    def lose_a_slide(*arguments):
        if (data / "slide-13.tif").exists():
            (data / "slide-13.tif").rename(tmp_path / "lost.tif")
        return forward(*arguments)

    with monkeypatch.context() as losing:
        losing.setattr(embedder, "run_network", lose_a_slide)
        losing.setattr(reading, "READ_AHEAD", 1)
        with pytest.raises(SlideError, match=r"slide-13\.tif cannot be read"):
            evaluate(data, tmp_path / "runs")
    shutil.move(tmp_path / "lost.tif", data / "slide-13.tif")
    done = list(own_home.glob("embeddings/*/*.safetensors"))
    again = evaluate(data, tmp_path / "runs")
    assert 0 < len(done) < 7
    assert embedded(again) == CELLS - 24 * len(done)
    assert contents(again.folder) == undisturbed("linear-probe")
