"""A stranger's folder is looked at before it is read: names, kinds and sizes of all that lies in it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from mitozoo.errors import DataError, MitozooError, StorageError
from mitozoo.submission.bundle import MEGABYTE, OF_A_BUNDLE, OF_A_RUN, open_bundle
from mitozoo.submission.reading import read_json, unfit

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder with the right names, and nothing in its files that anyone could read."""
    bundle = tmp_path / "bundle"
    for path in (bundle, bundle / "controls" / "colours"):
        path.mkdir(parents=True)
        for name in OF_A_BUNDLE if path == bundle else OF_A_RUN:
            (path / name).write_bytes(b"")
    return bundle


def test_what_is_there_is_listed(folder):
    found = open_bundle(folder)
    assert found.controls == ("colours",)
    assert "controls/colours/predictions.parquet" in found.files
    assert len(found.files) == len(OF_A_BUNDLE) - 1 + len(OF_A_RUN)


def grow(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 * MEGABYTE)  # nothing is written


def many_medium_ones(folder: Path) -> None:
    for path in folder.rglob("*.parquet"):
        with path.open("wb") as file:
            file.truncate(90 * MEGABYTE)


def replace_by_link(folder: Path) -> None:
    (folder / "cells.parquet").unlink()
    (folder / "cells.parquet").symlink_to("/etc/passwd")


def replace_by_pipe(folder: Path) -> None:
    (folder / "cells.parquet").unlink()
    os.mkfifo(folder / "cells.parquet")


def replace_by_folder(folder: Path) -> None:
    (folder / "cells.parquet").unlink()
    (folder / "cells.parquet").mkdir()


def controls_elsewhere(folder: Path) -> None:
    (folder / "controls").rename(folder.parent / "elsewhere")
    (folder / "controls").symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "weights.pt").touch(), "bundle holds 'weights.pt', which no submission has"),
        (lambda folder: (folder / ".git").mkdir(), "holds '.git', which no submission has"),
        (lambda folder: (folder / "a\x1b[2J\n").touch(), r"holds 'a\x1b[2J\n', which no submission has"),
        (lambda folder: (folder / "controls" / "x").touch(), "controls holds 'x', which is no folder of a run"),
        (lambda folder: (folder / "controls" / ".x").mkdir(), "controls holds '.x', which is no name of a run"),
        (lambda folder: (folder / "controls" / "colours" / "rows").mkdir(), "controls/colours holds 'rows'"),
        (lambda folder: [(folder / "controls" / f"x{n}").mkdir() for n in range(5)], "controls holds more than 4 runs"),
        (lambda folder: grow(folder / "predictions.parquet"), "bundle/predictions.parquet has 100,000,000 bytes"),
        (lambda folder: grow(folder / "result.json"), "bundle/result.json has 100,000,000 bytes; it may have at most"),
        (many_medium_ones, "bundle holds 540,000,000 bytes; a submission has at most 250,000,000"),
        (replace_by_link, "bundle/cells.parquet is a link"),
        (replace_by_pipe, "bundle/cells.parquet is no plain file"),
        (replace_by_folder, "bundle/cells.parquet is a folder"),
        (controls_elsewhere, "bundle holds 'controls', which no submission has"),
        (lambda folder: (folder / "splits.parquet").unlink(), "bundle/splits.parquet is missing"),
        (lambda folder: (folder / "submission.json").unlink(), "bundle/submission.json is missing"),
    ],
)
def test_what_does_not_belong_there_is_refused_by_name(change, said, folder):
    change(folder)
    with pytest.raises(MitozooError) as caught:
        open_bundle(folder)
    assert said in caught.value.message
    assert caught.value.exit_code == 2


def test_of_many_files_only_a_few_are_looked_at(folder):
    for number in range(20_000):
        (folder / str(number)).touch()
    start = time.process_time()
    with pytest.raises(DataError, match="which no submission has"):
        open_bundle(folder)
    assert time.process_time() - start < 0.1


def test_a_folder_that_is_not_there_or_leads_elsewhere(folder, tmp_path):
    with pytest.raises(DataError, match="there is no submission in"):
        open_bundle(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(DataError, match="is a link"):
        open_bundle(tmp_path / "link")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON document"),
        ("[]", "no JSON object"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ('{"a": 1, "a": 2}', "a key stands twice"),
        ('{"a": ' + "[" * 100_000, "no JSON document"),
        ('{"a": ' + "9" * 5_000 + "}", "no JSON document"),
        ('{"a": ["x\\u202ey"]}', "the hidden character U+202E"),
        ('{"a\\u0000": 1}', "the hidden character U+0000"),
        ('{"a": "\\u001b[2J"}', "the hidden character U+001B"),
        ('{"a": "\\ud800"}', "the hidden character U+D800"),
        ('{"a": "' + "x" * 20_001 + '"}', "20,001 characters"),
        (b"\xff\xfe{", "no JSON document"),
    ],
)
def test_json_with_tricks_is_refused(text, said, tmp_path):
    path = tmp_path / "result.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StorageError) as caught:
        read_json(path)
    assert said in caught.value.message
    assert caught.value.message.startswith("result.json ")
    assert len(caught.value.message) < 30_000


@pytest.mark.parametrize(
    "text", ["", "AMi-Br", '"><img onerror=alert(1)>', "Zürich, 細胞", "two\nlines\tand\u00a0more"]
)
def test_a_text_that_may_be_shown(text):
    assert unfit(text) == ""
