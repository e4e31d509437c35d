"""What killed processes were writing is removed, and what somebody is writing is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from mitozoo import leftovers
from mitozoo.storage import write_folder_whole, write_whole

WRITE = """
import pathlib, sys
from mitozoo import storage
with storage.{how}(pathlib.Path(sys.argv[1])) as unfinished:
    print(unfinished.name, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["write_whole", "write_folder_whole"])
def test_of_this_machine_what_no_living_process_writes(tmp_path, how):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE.format(how=how), tmp_path / "it"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    name = writer.stdout.readline().decode().strip()
    leftovers.remove_from(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    writer.kill()
    writer.communicate()
    leftovers.remove_from(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_this_process_writes_stays(tmp_path):
    with write_whole(tmp_path / "a.json") as file, write_folder_whole(tmp_path / "b") as folder:
        leftovers.remove_from(tmp_path)
        file.write_text("{}")
        (folder / "c").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b"]


@pytest.mark.parametrize("name", ["another-node.example.7-x8_", "another.1-a.tar.gz", "of-an-older-version"])
def test_of_others_what_nobody_touched_for_an_hour(tmp_path, name):
    file, folder = tmp_path / f"{leftovers.PREFIX}{name}", tmp_path / f"{leftovers.PREFIX}{name}x"
    file.touch()
    folder.mkdir()
    (folder / "patches").touch()
    leftovers.remove_from(tmp_path)
    assert sorted(tmp_path.iterdir()) == [file, folder]
    long_ago = time.time() - leftovers.SECONDS_UNTOUCHED - 60
    os.utime(file, (long_ago, long_ago))
    os.utime(folder, (long_ago, long_ago))
    leftovers.remove_from(tmp_path)
    assert sorted(tmp_path.iterdir()) == [folder], "a file in it is still written"
    os.utime(folder / "patches", (long_ago, long_ago))
    leftovers.remove_from(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_else_is_touched(tmp_path):
    for name in ("a.json", ".lock", "unfinished-1"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    leftovers.remove_from(tmp_path)
    leftovers.remove_from(tmp_path / "nowhere")
    assert len(list(tmp_path.iterdir())) == 3
