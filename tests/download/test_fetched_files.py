"""Files that are there already, were changed since, must come by hand, or are not what records may say."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
from served_dataset import EXPECTED, LABELS, asked_for, contents, sha256

from mitozoo import storage
from mitozoo.data.folder import select_data_folder
from mitozoo.download.dataset import plan_dataset
from mitozoo.download.folder import own_folder, published_bytes
from mitozoo.download.manifest import NAME, require_unchanged
from mitozoo.errors import DataError, SpecError
from mitozoo.plugins.remote_files import RemoteFolder


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
