"""A fetch that runs out of disk, is killed, stopped, doubled or lied to: what came is whole, and is kept."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from file_server import chunked, claims, whole
from served_dataset import EXPECTED, SLIDES, asked_for, contents

from mitozoo.download.dataset import fetch_dataset, plan_dataset
from mitozoo.download.fetch import LOCK, Listener, locked
from mitozoo.download.partial import Partial
from mitozoo.download.plan import UNFINISHED, make_plan
from mitozoo.download.transfer import StoppedError
from mitozoo.errors import DownloadError, MitozooError, StorageError


def small_disk(monkeypatch, free: int) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))


def test_a_disk_that_is_too_small_is_told_before_anything_comes(site, get, tmp_path, monkeypatch):
    small_disk(monkeypatch, 300_000)
    with pytest.raises(StorageError, match=r"the fetch needs 0 MB in .*/data, but only 0 MB are free"):
        get()
    assert not asked_for(site)
    small_disk(monkeypatch, 310_000)
    get()
    assert contents(tmp_path / "data") == EXPECTED


def test_where_sizes_are_not_told_the_published_one_counts(site, spec, downloader, tmp_path, monkeypatch):
    for name, content in SLIDES.items():
        site.play(f"/files/{name}1", chunked(content))
    small_disk(monkeypatch, 900_000)
    assert plan_dataset(spec, tmp_path / "data", downloader).untold == 6
    with pytest.raises(StorageError, match=r"the fetch needs 1 MB"):
        plan_dataset(dataclasses.replace(spec, download_gb=0.001), tmp_path / "data", downloader)


def test_a_disk_that_fills_up_stops_everything_at_once(site, get, tmp_path, monkeypatch):
    append, begun = Partial.append, []

    def on_a_disk_that_fills_up(self, file, chunk):
        begun.append(self.path) if self.path not in begun else None
        append(self, full if len(begun) == 3 else file, chunk)

    with monkeypatch.context() as patch, open("/dev/full", "ab", buffering=0) as full:  # noqa: PTH123 - always full
        patch.setattr(Partial, "append", on_a_disk_that_fills_up)
        with pytest.raises(StorageError, match="No space left on device"):
            get(jobs=1)
    assert len(asked_for(site)) == 3
    get()
    assert contents(tmp_path / "data") == EXPECTED


FETCH = """
import sys, json
from pathlib import Path
from mitozoo.download.fetch import Listener, carry_out, locked
from mitozoo.download.plan import make_plan
from mitozoo.download.transfer import Downloader
from mitozoo.plugins.remote_files import RemoteFile
folder, *addresses = sys.argv[1:]
files = [RemoteFile(url=url, path=f"slides/{n}.tif", holds="images") for n, url in enumerate(addresses)]
with Downloader() as downloader, locked(Path(folder), Listener()):
    carry_out(make_plan(Path(folder), files, downloader), downloader, Listener(), jobs=2)
print("done", "torch" in sys.modules)
"""


def in_another_process(folder, *addresses) -> subprocess.Popen:
    command = [sys.executable, "-c", FETCH, str(folder), *addresses]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"NO_PROXY": "127.0.0.1"})


def until(holds, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_killed_in_the_middle_and_started_again_it_is_the_same_bytes(site, tmp_path):
    content = random.Random(9).randbytes(3_000_000)
    released = threading.Event()

    def stalls(handler):
        handler.begin(200, {"Content-Length": len(content), "ETag": '"one"'})
        handler.wfile.write(content[:1_700_000])
        handler.wfile.flush()
        released.wait(60)

    url = site.play("/big", stalls, whole(content, etag='"one"'))
    small = site.play("/small", whole(b"small"))
    folder = tmp_path / "data"
    process = in_another_process(folder, url, small)

    def most_came() -> bool:
        parts = list((folder / UNFINISHED).glob("*.part")) if folder.exists() else []
        return (folder / "slides" / "1.tif").exists() and any(part.stat().st_size > 1_000_000 for part in parts)

    until(most_came)
    process.send_signal(signal.SIGKILL)
    process.wait()
    released.set()
    assert not (folder / "slides" / "0.tif").exists()
    site.requests.clear()
    again = in_another_process(folder, url, small)
    assert again.communicate(timeout=60)[0] == "done False\n"
    assert (folder / "slides" / "0.tif").read_bytes() == content
    assert (folder / "slides" / "1.tif").read_bytes() == b"small"
    [resumed] = [wanted for path, wanted in site.requests if path == "/big" and wanted != "bytes=0-0"]
    assert int(resumed.removeprefix("bytes=").rstrip("-")) > 1_000_000
    assert asked_for(site)["/small"] == 0
    assert not (folder / UNFINISHED).exists()


def test_two_at_once_fetch_each_file_once(site, spec, downloader, tmp_path):
    waiting, plans = threading.Event(), []

    class Hears(Listener):
        def waiting(self, folder):
            waiting.set()

    def fetch() -> None:
        plans.append(fetch_dataset(spec, tmp_path / "data", downloader, agree=lambda _: True, listener=Hears()))

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    with locked(tmp_path / "data", Listener()):  # so that both have made their plans before either begins
        for thread in threads:
            thread.start()
        assert waiting.wait(30)
        until(lambda: len(asked_for(site)) == 0 and (tmp_path / "data" / LOCK).exists())
    for thread in threads:
        thread.join(60)
    assert len(plans) == 2
    assert contents(tmp_path / "data") == EXPECTED
    assert set(asked_for(site).values()) == {1}


def test_stopped_by_the_user_it_keeps_what_came(site, spec, downloader, tmp_path):
    class Interrupts(Listener):
        def done(self, file):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_dataset(spec, tmp_path / "data", downloader, agree=lambda _: True, listener=Interrupts(), jobs=2)
    assert downloader.stopped.is_set()
    assert not issubclass(StoppedError, MitozooError)
    kept = contents(tmp_path / "data")
    assert kept
    assert kept.items() <= EXPECTED.items()


def test_a_lie_about_the_length_is_found_by_the_size_that_was_asked_for(site, spec, downloader, tmp_path):
    site.play("/files/031", claims(100, SLIDES["03"]))
    plan = plan_dataset(spec, tmp_path, downloader)
    assert plan.steps[4].size == 100  # a server that lies alike each time, about a file without a checksum, is believed
    sized = dataclasses.replace(spec.files[1].files()[3], size=50_003)
    with pytest.raises(DownloadError, match=r"it has 100 bytes, and 50,003 are published"):
        downloader.fetch(sized, tmp_path / "part", lambda _: None)
    assert make_plan(tmp_path, [sized], None).steps[0].have == 0
