"""A dataset's files: planned, fetched many at once, recorded and verified ever after."""

from __future__ import annotations

import hashlib
import json

import pytest
from file_server import hangs_up, redirect, status, whole
from served_dataset import EXPECTED, LABELS, SLIDES, asked_for, contents, sha256

from mitozoo import storage
from mitozoo.download.dataset import fetch_dataset, plan_dataset
from mitozoo.download.fetch import Listener
from mitozoo.download.manifest import NAME, Manifest
from mitozoo.download.plan import UNFINISHED
from mitozoo.errors import DownloadError


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
