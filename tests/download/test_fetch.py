"""A dataset's files: planned, fetched many at once, recorded, verified ever after, and whole whatever happens."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter

import pytest
from file_server import chunked, claims, hangs_up, redirect, status, whole

from mitozoo import storage
from mitozoo.data.describe import describe_dataset
from mitozoo.data.folder import select_data_folder
from mitozoo.download.dataset import fetch_dataset, plan_dataset
from mitozoo.download.fetch import LOCK, Listener, locked
from mitozoo.download.folder import own_folder, published_bytes
from mitozoo.download.manifest import NAME, Manifest, require_unchanged
from mitozoo.download.partial import Partial
from mitozoo.download.plan import UNFINISHED, make_plan
from mitozoo.download.transfer import StoppedError
from mitozoo.errors import DataError, DownloadError, MitozooError, SpecError, StorageError
from mitozoo.plugins.dataset_spec import DatasetSpec
from mitozoo.plugins.formats import CellTable
from mitozoo.plugins.remote_files import RemoteFile, RemoteFolder

LABELS = b"id,slide,x,y,label\n1,a,5,5,MF\n2,b,5,5,HN\n"
SLIDES = {f"{n:02}": random.Random(n).randbytes(50_000 + n) for n in range(6)}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def spec(site) -> DatasetSpec:
    """A dataset of a table and six slides, served whole; the table's checksum is published, the slides' are not."""
    table = site.play("/cells.csv", whole(LABELS))
    for name, content in SLIDES.items():
        site.play(f"/files/{name}1", whole(content))
    return DatasetSpec(
        name="served",
        cells=CellTable(
            path="cells.csv", cell_id="{id}", slide="{slide}", file="slides/{slide}.tif", x="x", y="y", label="{label}"
        ),
        labels={"MF": "positive", "HN": "hard"}, positive_class="mitotic figure", negative_class="look-alike",
        group="slide", mpp=0.25, license="CC0-1.0", reference="https://example.org", negatives_origin="made up",
        files=(
            RemoteFile(url=table, path="cells.csv", holds="labels", size=len(LABELS), sha256=sha256(LABELS)),
            RemoteFolder(
                url=f"{site.address}/files/{{id}}", path="slides/{name}.tif", holds="images",
                ids={name: f"{name}1" for name in SLIDES},
            ),
        ),
    )  # fmt: skip


@pytest.fixture
def get(spec, downloader, tmp_path):
    """Return a function that fetches the dataset and gives the plan that was carried out."""

    def get(spec=spec, folder=tmp_path / "data", listener=None, **asked):
        downloader.stopped.clear()
        return fetch_dataset(
            spec, folder, downloader, agree=lambda plan: True, listener=listener or Listener(), **asked
        )

    return get


def contents(folder) -> dict[str, bytes]:
    """The dataset's own files, without what mitozoo keeps beside them."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not name.startswith(".mitozoo")}


EXPECTED = {"cells.csv": LABELS} | {f"slides/{name}.tif": content for name, content in SLIDES.items()}


def asked_for(site) -> Counter:
    """How often each path was fetched; questions for a size do not count."""
    return Counter(path for path, wanted in site.requests if wanted != "bytes=0-0")


def test_everything_comes_once_and_is_recorded(site, get, tmp_path):
    plan = get()
    assert [step.there for step in plan.steps] == [False] * 7
    assert plan.bytes_to_fetch == sum(map(len, EXPECTED.values()))
    assert contents(tmp_path / "data") == EXPECTED
    assert set(asked_for(site).values()) == {1}
    assert not (tmp_path / "data" / UNFINISHED).exists()
    record = json.loads((tmp_path / "data" / NAME).read_text())
    assert record["format"] == "mitozoo-files/1"
    assert record["files"]["slides/03.tif"] == {
        "url": f"{site.address}/files/031", "size": 50_003, "md5": hashlib.md5(SLIDES["03"]).hexdigest(),
        "sha256": sha256(SLIDES["03"]), "etag": record["files"]["slides/03.tif"]["etag"], "members": {},
    }  # fmt: skip
    assert record["files"]["slides/03.tif"]["etag"]


def test_what_is_there_is_verified_and_not_fetched_again(site, get, tmp_path, monkeypatch):
    get()
    site.requests.clear()
    monkeypatch.setattr(storage, "_sha256", lambda path: pytest.fail(f"{path} was hashed again"))
    plan = get()
    assert all(step.there and step.verified for step in plan.steps)
    assert site.requests == []


def test_labels_alone(site, get, spec, tmp_path):
    get(labels_only=True)
    assert contents(tmp_path / "data") == {"cells.csv": LABELS}
    assert set(asked_for(site)) == {"/cells.csv"}
    get()
    assert contents(tmp_path / "data") == EXPECTED
    assert set(asked_for(site).values()) == {1}


def test_whoever_does_not_agree_gets_nothing(site, spec, downloader, tmp_path):
    plans = []
    fetch_dataset(spec, tmp_path / "data", downloader, agree=plans.append, listener=Listener())
    assert len(plans[0].missing) == 7
    assert not (tmp_path / "data").exists()
    assert not asked_for(site)


def test_a_dry_run_asks_for_sizes_and_writes_nothing(site, spec, downloader, tmp_path):
    plan = plan_dataset(spec, tmp_path / "data", downloader)
    assert (plan.bytes_to_fetch, plan.untold) == (sum(map(len, EXPECTED.values())), 0)
    assert not (tmp_path / "data").exists()
    assert plan.steps[1].to_json() == {
        "path": "slides/00.tif", "url": f"{site.address}/files/001", "state": "missing", "size": 50_000, "have": 0,
    }  # fmt: skip


def test_servers_that_cannot_be_reached_are_not_waited_for_one_by_one(site, spec, downloader, tmp_path, waits):
    for name in SLIDES:
        site.play(f"/files/{name}1", hangs_up)
    plan = plan_dataset(spec, tmp_path / "data", downloader, jobs=1)
    assert (plan.untold, plan.bytes_to_fetch) == (6, len(LABELS))
    assert len(waits) == 2 * 3


def test_one_bad_file_does_not_keep_the_others(site, get, tmp_path):
    site.play("/files/031", status(404))
    site.play("/files/041", redirect("file:///etc/passwd"))
    told = []

    class Hears(Listener):
        def failed(self, file, error):
            told.append((file.path, error.hint))

    with pytest.raises(DownloadError, match=r"2 of 7 files could not be fetched; the first: ") as caught:
        get(listener=Hears())
    assert caught.value.exit_code == 3
    assert contents(tmp_path / "data") == {k: v for k, v in EXPECTED.items() if "03" not in k and "04" not in k}
    assert min(told)[1].startswith(f"Fetch it in a browser, put it at {tmp_path}/data/slides/03.tif")
    site.play("/files/031", whole(SLIDES["03"]))
    (tmp_path / "data" / "slides" / "04.tif").write_bytes(SLIDES["04"])  # as the hint says
    site.play("/files/041", whole(SLIDES["04"]))
    plan = get()
    assert [step.file.path for step in plan.missing] == ["slides/03.tif"]
    assert contents(tmp_path / "data") == EXPECTED


def test_wrong_bytes_never_get_the_name(site, get, tmp_path):
    site.play("/cells.csv", whole(LABELS[:-1] + b"!"))
    with pytest.raises(DownloadError, match="its sha256 is"):
        get()
    assert "cells.csv" not in contents(tmp_path / "data")
    assert Manifest(tmp_path / "data").get("cells.csv") is None


def test_a_published_file_that_changes_later_is_refused(site, get, tmp_path):
    get()
    (tmp_path / "data" / "slides" / "03.tif").unlink()
    site.play("/files/031", whole(bytes(50_003)))
    with pytest.raises(DownloadError, match=r"when it was first fetched into .* it was") as caught:
        get()
    assert "fetch into another folder" in caught.value.hint
    assert not (tmp_path / "data" / "slides" / "03.tif").exists()
    site.play("/files/031", whole(SLIDES["03"]))
    get()
    assert contents(tmp_path / "data") == EXPECTED


def test_files_put_there_by_hand_are_taken(site, get, tmp_path):
    (tmp_path / "data" / "slides").mkdir(parents=True)
    (tmp_path / "data" / "slides" / "00.tif").write_bytes(SLIDES["00"])
    (tmp_path / "data" / "cells.csv").write_bytes(LABELS)
    plan = get()
    assert [(step.there, step.verified) for step in plan.steps[:3]] == [(True, True), (True, False), (False, False)]
    assert not {"/cells.csv", "/files/001"} & set(asked_for(site))


def test_a_folder_that_cannot_be_written_to_will_do_where_all_is_there(get, tmp_path):
    shutil.rmtree(tmp_path / "data", ignore_errors=True)
    for name, content in EXPECTED.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content)
    before = sorted((tmp_path / "data").rglob("*"))
    assert get().missing == ()
    assert sorted((tmp_path / "data").rglob("*")) == before


@pytest.mark.parametrize(
    ("place", "content", "problem"),
    [
        ("cells.csv", LABELS[:-1], r"cells\.csv has \d+ bytes, and \d+ are published"),
        ("cells.csv", LABELS[:-1] + b"!", r"cells\.csv has the sha256 [0-9a-f]{64}, and"),
        ("slides/02.tif", b"half", r"02\.tif has 4 bytes, and 50,002 are published"),
        ("slides/02.tif", None, r"02\.tif is a folder"),
    ],
)
def test_another_file_in_its_place_is_never_overwritten(site, get, tmp_path, place, content, problem):
    path = tmp_path / "data" / place
    path.parent.mkdir(parents=True)
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=problem) as caught:
        get()
    assert "Delete or move it" in caught.value.hint
    assert not asked_for(site)
    assert content is None or path.read_bytes() == content


def test_a_fetched_file_that_was_changed_is_found_by_eval_and_by_fetch(get, spec, tmp_path):
    get()
    folder = tmp_path / "data"
    assert select_data_folder(spec, folder) == folder
    (folder / "cells.csv").write_bytes(LABELS.replace(b"MF", b"HN"))
    for use in (lambda: select_data_folder(spec, folder), get):
        with pytest.raises(DataError, match=r"cells\.csv is not what was fetched into"):
            use()
    (folder / "cells.csv").unlink()
    (folder / "slides" / "02.tif").write_bytes(b"cut")
    for use in (lambda: select_data_folder(spec, folder), get):
        with pytest.raises(DataError, match=r"slides/02\.tif is not what was fetched into"):
            use()
    (folder / "slides" / "02.tif").unlink()
    require_unchanged(folder, spec)  # what is missing is another matter
    get()
    assert contents(folder) == EXPECTED


def test_a_record_that_is_damaged_is_told(get, spec, tmp_path):
    get()
    for text in ("{", "[]", '{"files": {"a": {}}}', '{"files": {"a": 5}}'):
        (tmp_path / "data" / NAME).write_text(text)
        with pytest.raises(DataError, match=r"cannot be read as the record of fetched files") as caught:
            select_data_folder(spec, tmp_path / "data")
        assert "Delete it" in caught.value.hint
    (tmp_path / "data" / NAME).unlink()
    assert get().missing == ()


def test_without_data_the_fetched_folder_is_found(get, spec, site):
    with pytest.raises(DataError, match="dataset 'served' is not on this machine") as caught:
        select_data_folder(spec, None)
    assert "Type: mitozoo fetch served" in caught.value.hint
    get(folder=own_folder(spec), labels_only=True)
    assert select_data_folder(spec, None) == storage.home() / "datasets" / "served"
    (own_folder(spec) / "cells.csv").unlink()
    with pytest.raises(DataError, match=r"was not fetched whole: cells\.csv is not in"):
        select_data_folder(spec, None)
    assert own_folder(dataclasses.replace(spec, folder="shared")).name == "shared"


def test_what_must_be_fetched_by_hand_says_how(spec, downloader, tmp_path, site):
    by_hand = dataclasses.replace(spec, files=(), by_hand="Sign in at https://example.org.")
    for use in (lambda: select_data_folder(by_hand, None), lambda: plan_dataset(by_hand, tmp_path, downloader)):
        with pytest.raises(DataError) as caught:
            use()
        assert "Sign in at https://example.org." in caught.value.hint
    own_folder(by_hand).mkdir(parents=True)
    (own_folder(by_hand) / "cells.csv").write_bytes(LABELS)
    assert select_data_folder(by_hand, None) == own_folder(by_hand)
    made = dataclasses.replace(spec, files=(), prepare=sha256)
    with pytest.raises(DataError, match="made on this machine"):
        plan_dataset(made, tmp_path, downloader)


def test_sizes_are_those_published(spec):
    assert published_bytes(spec) is None
    assert published_bytes(dataclasses.replace(spec, download_gb=1.5)) == 1_500_000_000
    assert published_bytes(dataclasses.replace(spec, files=spec.files[:1])) == len(LABELS)


def test_addresses_do_not_touch_the_fingerprint(spec):
    assert (
        dataclasses.replace(spec, files=(), by_hand="x", folder="y", download_gb=3).fingerprint() == spec.fingerprint()
    )


def test_records_that_cannot_be_meant_are_refused(spec):
    file = spec.files[0]
    for changed, match in (
        ({"holds": "everything"}, "holds is 'everything'"),
        ({"md5": "ABC"}, "md5 must be 32"),
        ({"sha256": "f" * 63}, "sha256 must be 64"),
        ({"size": -1}, "cannot be negative"),
        ({"archive": "rar"}, "archive is 'rar'"),
        ({"only": "x"}, "is no archive"),
        ({"strip": 1}, "is no archive"),
    ):
        with pytest.raises(SpecError, match=match):
            dataclasses.replace(file, **changed)
    with pytest.raises(SpecError, match="files must be a list of RemoteFile"):
        dataclasses.replace(spec, files=("https://example.org",))
    with pytest.raises(SpecError, match=r"has no \{id\}"):
        RemoteFolder(url="https://example.org/x", path="{name}", holds="images", ids={"a": "1"})
    with pytest.raises(SpecError, match="names no file"):
        RemoteFolder(url="https://example.org/{id}", path="{name}", holds="images", ids={})
    with pytest.raises(SpecError, match=r"two remote files belong at CELLS\.csv"):
        dataclasses.replace(spec, files=(file, dataclasses.replace(file, path="CELLS.csv"))).remote_files()


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


def zipped(path, files: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path.read_bytes()


@pytest.fixture
def archived(site, spec, tmp_path) -> DatasetSpec:
    """The same slides, in an archive."""
    content = zipped(tmp_path / "slides.zip", {f"top/slides/{name}.tif": data for name, data in SLIDES.items()})
    url = site.play("/slides.zip", whole(content))
    archive = RemoteFile(url=url, path="slides", holds="images", archive="zip", strip=1, only="slides")
    return dataclasses.replace(spec, files=(spec.files[0], archive))


def test_an_archive_becomes_a_folder_and_is_verified_by_its_files(site, get, archived, tmp_path):
    plan = get(archived)
    assert plan.bytes_needed == plan.bytes_to_fetch + plan.steps[1].size
    assert contents(tmp_path / "data") == EXPECTED
    assert not (tmp_path / "data" / UNFINISHED).exists()
    site.requests.clear()
    assert all(step.verified for step in get(archived).steps)
    assert not site.requests
    (tmp_path / "data" / "slides" / "04.tif").write_bytes(bytes(50_004))
    with pytest.raises(DataError, match=r"slides/04\.tif is not what was fetched"):
        get(archived)
    (tmp_path / "data" / "slides" / "04.tif").unlink()
    with pytest.raises(DataError, match=r"slides/04\.tif is no longer in"):
        get(archived)
    shutil.rmtree(tmp_path / "data" / "slides")
    get(archived)
    assert contents(tmp_path / "data") == EXPECTED


def test_archives_of_the_published_repositories_become_what_the_plugins_read(site, get, tmp_path):
    import mitozoo_plugin_atnorm
    import mitozoo_plugin_tupac16_al

    def served(spec, name: str, files: dict[str, bytes]):
        content = zipped(tmp_path / "repository.zip", {f"{name}/{path}": data for path, data in files.items()})
        url = site.play(f"/{name}.zip", whole(content))
        return dataclasses.replace(spec, files=[dataclasses.replace(spec.files[0], url=url)])

    tables = {
        f"TUPAC_AL/{kind}_ground_truth/01/0{n}.csv": b"5,6\n" for kind in ("mitoses", "nonmitoses") for n in (1, 2)
    }
    tupac = served(mitozoo_plugin_tupac16_al.TUPAC16_AL, "TUPAC16-e9ba", tables | {"README.md": b"x", "a:b": b"x"})
    get(tupac, folder=own_folder(tupac))
    assert describe_dataset(tupac, select_data_folder(tupac, None))["classes"]["positive"] == 2

    patches = {f"AtNorM-Br/{label}/1.png": b"png" for label in ("Atypical", "Normal")}
    litter = {"AtNorM-Br/.DS_Store": b"x", "AtNorM-MD/Normal/1.png": b"x", "__MACOSX/AtNorM-Br/._1.png": b"x"}
    atnorm = served(mitozoo_plugin_atnorm.ATNORM_BR, "AMi-Br_Benchmark-3acf", patches | litter)
    get(atnorm, folder=own_folder(atnorm), labels_only=True)  # the folders of its patches are its labels
    assert describe_dataset(atnorm, select_data_folder(atnorm, None))["classes"]["positive"] == 1
    assert contents(own_folder(atnorm)) == patches


def test_another_version_by_now_is_told(get, spec):
    get(labels_only=True)
    newer = dataclasses.replace(spec, files=[dataclasses.replace(spec.files[0], sha256="0" * 64)])
    with pytest.raises(DataError, match=r"cells\.csv is as it was fetched, and another version is published by now"):
        get(newer)


def test_an_archive_that_was_unpacked_by_hand_is_taken_as_it_is(site, get, archived, tmp_path):
    (tmp_path / "data" / "slides").mkdir(parents=True)
    (tmp_path / "data" / "slides" / "00.tif").write_bytes(SLIDES["00"])
    plan = get(archived)
    assert (plan.steps[1].there, plan.steps[1].verified) == (True, False)
    assert set(asked_for(site)) == {"/cells.csv"}


def test_a_hostile_archive_leaves_nothing(site, get, archived, tmp_path):
    site.play("/slides.zip", whole(zipped(tmp_path / "evil.zip", {"top/slides/00.tif": b"1", "top/../../evil": b"1"})))
    with pytest.raises(DownloadError, match="leads out of its folder"):
        get(archived)
    assert contents(tmp_path / "data") == {"cells.csv": LABELS}
    assert not (tmp_path / "data" / UNFINISHED).exists()
    assert not list(tmp_path.rglob("evil"))


def test_an_archive_too_large_for_the_disk_is_kept_for_the_next_time(site, get, archived, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("mitozoo.download.fetch.free_bytes", lambda folder: 1000)
        with pytest.raises(StorageError, match="does not fit the disk"):
            get(archived)
    # The table comes beside it, and may have been stopped as well.
    assert contents(tmp_path / "data").keys() <= {"cells.csv"}
    site.requests.clear()
    get(archived)
    assert contents(tmp_path / "data") == EXPECTED
    assert not asked_for(site)["/slides.zip"]


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
