"""`fetch`: asked before the first byte, and the whole way from a server to a result, in the layouts of two datasets."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import click.testing
import pytest
from file_server import Site, serving, status
from published_layouts import CELLS, MIDOGPP_IMAGES, make_ccmct, make_midogpp
from tiny_distributions import Tiny, install

from mitozoo.cli import main
from mitozoo.plugins.registry import reset_registry

if TYPE_CHECKING:
    from pathlib import Path

#: The real specs of the real plugins; only the addresses are those of the test's own server.
CODE = """
import dataclasses, os
import mitozoo_plugin_ccmct, mitozoo_plugin_midog
from mitozoo import RemoteFile, RemoteFolder, hookimpl

def served(spec, images):
    site = f"{os.environ['SERVED_SITE']}/{spec.name}"
    labels = [one for one in spec.files if isinstance(one, RemoteFile)]
    [folder] = [one for one in spec.files if isinstance(one, RemoteFolder)]
    assert set(images) <= set(folder.ids)
    files = [dataclasses.replace(one, url=f"{site}/{one.path.replace('+', '%2B')}", size=None, md5="", sha256="")
             for one in labels]
    files += [dataclasses.replace(folder, url=f"{site}/{folder.path.replace('{name}', '{id}')}",
                                  ids={name: name for name in images})]
    return dataclasses.replace(spec, files=files)

@hookimpl
def mitozoo_datasets():
    train = ["2f2591b840e83a4b4358", "ce949341ba99845813ac", "fff27b79894fe0157b08", "285f74bb6be025a676b6"]
    test = [name.removesuffix(".svs") for name in mitozoo_plugin_ccmct.CCMCT.test_slides]
    images = [f"{first + n:03}" for first in (1, 245, 300) for n in range(5)]
    return [served(mitozoo_plugin_ccmct.CCMCT, [*train, *test]), served(mitozoo_plugin_midog.MIDOGPP, images),
            mitozoo_plugin_ccmct.MEL]
"""
TRAIN = ["2f2591b840e83a4b4358.svs", "ce949341ba99845813ac.svs", "fff27b79894fe0157b08.svs", "285f74bb6be025a676b6.svs"]


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """Return a folder with both datasets in their layouts."""
    from mitozoo_plugin_ccmct import CCMCT

    folder = tmp_path_factory.mktemp("published")
    make_ccmct(folder / "ccmct", [*TRAIN, *CCMCT.test_slides])
    make_midogpp(folder / "midogpp")
    return folder


@pytest.fixture(scope="module")
def served_site(tmp_path_factory) -> Path:
    return install(tmp_path_factory.mktemp("served"), Tiny("mitozoo-plugin-servedsets", CODE))


@pytest.fixture
def site(zoo, published, served_site, tmp_path, monkeypatch):
    """Serve both datasets, have the plugin that names their addresses and the tiny models, and a home of one's own."""
    with serving() as site:
        site.serve(published)
        monkeypatch.setenv("SERVED_SITE", site.address)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("MITOZOO_PLUGINS", "tinyzoo,servedsets")
        monkeypatch.syspath_prepend(served_site)
        monkeypatch.chdir(tmp_path)
        sys.modules.pop("mitozoo_plugin_servedsets", None)
        reset_registry()
        yield site
    reset_registry()


def mitozoo(*arguments, code: int = 0) -> click.testing.Result:
    done = click.testing.CliRunner().invoke(main, list(map(str, arguments)), prog_name="mitozoo")
    assert done.exit_code == code, (done.output, done.exception)
    return done


def fetched(site: Site) -> list[str]:
    return [path for path, wanted in site.requests if wanted != "bytes=0-0"]


def files_below(folder: Path) -> dict[str, bytes]:
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if not name.startswith(".mitozoo")}


def test_ccmct_the_whole_way(site, published, tmp_path):
    done = mitozoo("describe", "ccmct", code=2)
    assert done.stderr.endswith("Type: mitozoo fetch ccmct (44 GB); or pass --data DIR with its files.\n")
    done = mitozoo("fetch", "ccmct", "--yes")
    assert "  licence   CC-BY-NC-ND-2.0; see https://doi.org/10.1038/s41597-019-0290-4" in done.stderr
    assert "  there     0 files of 16" in done.stderr
    assert "  to fetch  16 files: " in done.stderr
    assert done.stderr.endswith("ccmct: 16 files fetched and checked. Look at it: mitozoo describe ccmct\n")
    assert done.stdout == ""
    assert files_below(tmp_path / "home" / "datasets" / "ccmct") == files_below(published / "ccmct")

    found = json.loads(mitozoo("describe", "ccmct", "--json").stdout)
    assert found["classes"] == {"positive": 45, "hard": 45, "other": 15, "ignored": 0}
    assert {side: part["images"] for side, part in found["split"].items()} == {"test": 11, "train": 4}
    assert found["images"]["missing"] == 0

    result = json.loads(mitozoo("eval", "-m", "steady", "-d", "ccmct", "--json").stdout)
    assert result["dataset"]["name"] == "ccmct"
    [row] = result["scores"]
    assert (row["n_train"], row["n_test"], row["n_groups_test"]) == (4 * CELLS, 11 * CELLS, 11)
    assert row["metrics"]["auroc"]["value"] > 0.9  # bars that stand and bars that lie are told apart


def test_midogpp_the_whole_way(site, published, tmp_path):
    mitozoo("fetch", "midogpp", "--labels-only", "--yes", "--data", tmp_path / "own")
    assert set(fetched(site)) == {"/midogpp/MIDOG++.json", "/midogpp/datasets_xvalidation.csv"}
    found = json.loads(mitozoo("describe", "midogpp", "--data", tmp_path / "own", "--json").stdout)
    assert found["images"] | {"first_missing": []} == {
        "named": 16, "with_cells": 15, "without_cells": 1, "present": 0, "missing": 16, "first_missing": [],
    }  # fmt: skip
    assert sorted(found["domains"]["scanner"]) == ["3D Histech", "Aperio CS2", "Hamamatsu XR"]
    assert "canine lymphosarcoma" in found["domains"]["tumour"]

    done = mitozoo("fetch", "midogpp", "--yes", "--data", tmp_path / "own", "--json")
    told = json.loads(done.stdout)
    assert (told["fetched"], told["missing"], len(told["files"])) == (True, 0, 17)
    assert {file["state"] for file in told["files"][:2]} == {"verified"}
    assert len(fetched(site)) == 17  # the labels are not fetched again
    assert files_below(tmp_path / "own") == files_below(published / "midogpp")

    result = json.loads(mitozoo("eval", "-m", "steady", "-d", "midogpp", "--data", tmp_path / "own", "--json").stdout)
    [row] = result["scores"]
    assert (row["n_groups_train"], row["n_groups_test"]) == (9, 6)
    assert row["n_train"] + row["n_test"] == CELLS * len(MIDOGPP_IMAGES)
    assert row["metrics"]["auroc"]["value"] > 0.9


def test_nobody_is_there_to_be_asked(site, tmp_path):
    done = mitozoo("fetch", "ccmct", code=2)
    assert "  to fetch  16 files: " in done.stderr
    assert done.stderr.endswith(
        "Error: fetch asks before it starts, and there is nobody here to answer\n"
        "Say --yes to start, or --dry-run to see what would be fetched.\n"
    )
    assert fetched(site) == []
    assert not (tmp_path / "home" / "datasets").exists()


def test_a_dry_run_fetches_nothing(site, tmp_path):
    told = json.loads(mitozoo("fetch", "midogpp", "--dry-run", "--json").stdout)
    assert (told["fetched"], told["missing"], told["files_of_untold_size"]) == (False, 17, 0)
    assert told["bytes_to_fetch"] == sum(file["size"] for file in told["files"])
    assert fetched(site) == []
    assert not (tmp_path / "home" / "datasets").exists()


def test_what_is_there_needs_no_answer(site):
    mitozoo("fetch", "ccmct", "--yes", "--labels-only")
    done = mitozoo("fetch", "ccmct", "--labels-only")
    assert done.stderr == "ccmct: all files were there already. Look at it: mitozoo describe ccmct\n"
    assert fetched(site) == ["/ccmct/databases/MITOS_WSI_CCMCT_ODAEL.sqlite"]


def test_some_files_that_do_not_come_are_exit_code_three(site):
    site.play("/ccmct/WSI/be10fa37ad6e88e1f406.svs", status(404))
    done = mitozoo("fetch", "ccmct", "--yes", code=3)
    assert "FAILED  WSI/be10fa37ad6e88e1f406.svs: cannot fetch http://127.0.0.1" in done.stderr
    assert "Fetch it in a browser, put it at " in done.stderr
    assert len(fetched(site)) == 16


def answered(process, terminal, answer):
    """Types until the process ends: a signal that comes just before Python's read() does not break that read."""
    for _ in range(60):
        os.write(terminal, answer)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=2)[1]
    process.kill()
    raise AssertionError("no answer was taken within two minutes")


def test_a_person_is_asked_and_may_say_no(site, served_site, zoo_site, tmp_path):
    """A real terminal: nothing is fetched after 'n', and Ctrl-C at the question is an interrupt."""
    for answer, code in ((b"n\n", 1), (b"\x03", 130)):
        mine, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "mitozoo", "fetch", "ccmct"],
            stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (served_site, zoo_site)))},
            preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        told = ""
        while "Start?" not in told and (letter := process.stderr.read(1)):
            told += letter
        rest = answered(process, mine, answer)
        os.close(mine)
        assert process.returncode == code, told + rest
        assert rest.endswith("Nothing was fetched.\n" if code == 1 else "Interrupted.\n")
    assert fetched(site) == []


def test_a_full_disk_is_told_before_the_question(site, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    done = mitozoo("fetch", "ccmct", "--yes", code=2)
    assert "Error: the fetch needs" in done.stderr
    assert "--data" in done.stderr.splitlines()[-1]
    assert fetched(site) == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cells.csv", "Error: cells.csv is a table of your own cells: there is nothing to fetch"),
        ("tiny", "Error: dataset 'tiny' is made on this machine when it is first used: there is nothing to fetch"),
        ("ccmt", "Error: there is no dataset 'ccmt'"),
    ],
)
def test_what_cannot_be_fetched_is_told(site, name, sentence):
    assert mitozoo("fetch", name, code=2).stderr.startswith(sentence)


def test_the_list_and_the_entry_tell_what_a_fetch_would_be(site):
    done = mitozoo("datasets")
    [line] = [line for line in done.stdout.splitlines() if line.startswith("ccmct-mel")]
    assert "not for eval" in line
    [line] = [line for line in mitozoo("info", "ccmct-mel").stdout.splitlines() if line.startswith("files ")]
    assert line.split(maxsplit=1)[1] == ("33 files from ndownloader.figshare.com, about 44 GB: mitozoo fetch ccmct-mel")
