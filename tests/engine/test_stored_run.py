"""The identical call again: the stored run, without anything heavy, and never where something changed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tiny_zoo import copy_of

import mitozoo
from mitozoo.engine import remembered
from mitozoo.engine.identity import Digests
from mitozoo.engine.question import Question
from mitozoo.engine.remembered import Remembered
from mitozoo.engine.request import Request


@pytest.fixture
def settled(monkeypatch) -> None:
    """Take files for old enough that no clock could miss a change, though the test has just made them."""
    monkeypatch.setattr(remembered, "SETTLED_NS", 0)


def ask(data, **asked) -> Question:
    return Question(Request("steady", "tiny", data=data, **asked))


@pytest.fixture
def data(zoo, own_home, settled, tmp_path):
    """Return a copy of the dataset 'tiny' whose cells and windows are remembered."""
    folder = copy_of(zoo, tmp_path / "data")
    question = ask(folder)
    Remembered(question).keep(Digests.of(question.seen), question.seen)
    assert Remembered(ask(folder)).recall() == Digests.of(question.seen)
    return folder


def test_an_identical_call_returns_the_stored_run_without_anything_heavy(own_home, zoo_site, settled, tmp_path):
    first = mitozoo.evaluate("steady", "tiny", out=tmp_path, folds=2)
    code = (
        "import sys, mitozoo; "
        f"print(mitozoo.evaluate('steady', 'tiny', out={str(tmp_path)!r}, folds=2).mean()); "
        "print(sorted({'torch', 'sklearn', 'timm', 'scipy', 'pandas', 'pyarrow', 'PIL'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(zoo_site), "MITOZOO_PLUGINS": "tinyzoo"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [str(first.mean()), "[]"]


def test_rows_devices_and_places_are_of_no_account(data, tmp_path):
    further = {"seeds": 3, "fractions": (0.5, 1), "folds": 2, "protocol": "knn", "batch_size": 3, "out": tmp_path}
    assert Remembered(ask(data, **further)).recall() is not None
    assert Remembered(Question(Request("chance", "tiny", data=data))).recall() is not None  # that sees the same


def test_whatever_changes_cells_or_windows_is_another_question(data):
    others = {
        "crop_um": 48,
        "limit": 40,
        "group": "image",
        "stain": "macenko",
        "mpp": 0.9,
        "settings": {"edge": "black"},
    }
    for name, value in others.items():
        assert Remembered(ask(data, **{name: value})).recall() is None


def touch_up(path, change) -> None:
    """Change a file but leave its size and its time of modification as they were."""
    before, content = path.stat(), path.read_bytes()
    changed = change(content)
    assert changed != content
    assert len(changed) == len(content)
    path.write_bytes(changed)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_changed_label_is_noticed(data):
    old = Digests.of(ask(data).seen)
    touch_up(data / "cells.csv", lambda text: text.replace(b"slide-01", b"slide-02", 1))
    assert Remembered(ask(data)).recall() is None
    assert Digests.of(ask(data).seen).cells != old.cells


def test_a_changed_image_is_noticed(data):
    touch_up(next(data.glob("*.tif")), lambda pixels: pixels[:-1] + bytes([pixels[-1] ^ 1]))
    assert Remembered(ask(data)).recall() is None


def test_an_image_that_is_gone_and_a_file_more_are_noticed(data):
    (data / "cells.csv-journal").touch()
    assert Remembered(ask(data)).recall() is None
    next(data.glob("*.tif")).unlink()
    assert Remembered(ask(data)).recall() is None


def test_another_version_of_what_reads_is_asked_anew(data, monkeypatch):
    monkeypatch.setattr(remembered, "_reading_code", lambda: "another")
    assert Remembered(ask(data)).recall() is None


def test_a_damaged_memory_is_none(data, own_home):
    [kept] = (own_home / "seen").glob("*.json")
    for text in ("", "{}", "[1]", '{"digests": {}, "files": [], "stamps": 0}'):
        kept.write_text(text)
        assert Remembered(ask(data)).recall() is None


def test_a_file_that_was_written_a_moment_ago_is_not_relied_on(zoo, own_home, tmp_path):
    question = ask(copy_of(zoo, tmp_path / "data"))
    Remembered(question).keep(Digests.of(question.seen), question.seen)
    assert not (own_home / "seen").exists()


def test_a_cache_that_cannot_be_written_is_no_error(zoo, own_home, settled, tmp_path):
    (own_home / "seen").touch()  # where a folder would be made
    question = ask(copy_of(zoo, tmp_path / "data"))
    Remembered(question).keep(Digests.of(question.seen), question.seen)
    assert Remembered(question).recall() is None
