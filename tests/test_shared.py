"""Shared storage: what is read was hashed here, what is written is whole, and every failure is a sentence."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from bucket_server import bucket, s3_line

from mitozoo.errors import StorageError
from mitozoo.shared import DamagedContentError, SharedFolder, is_url, shared_cache

__all__ = ["bucket", "s3_line"]


@pytest.fixture(params=["s3", "folder", "file-url"])
def place(request, tmp_path) -> str:
    """Return an empty place: below a bucket, a folder that does not exist yet, and the same as a URL."""
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/some/where"
    folder = tmp_path / "not" / "there"
    return folder.as_uri() if request.param == "file-url" else str(folder)


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put(shared: SharedFolder, tmp_path, content: bytes, path: str, **how) -> None:
    (tmp_path / "content").write_bytes(content)
    shared.put(tmp_path / "content", path, **how)


def fetched(shared: SharedFolder, tmp_path, path: str, expected: bytes) -> bytes:
    shared.fetch(path, tmp_path / "fetched", sha256=sha256_of(expected), size=len(expected))
    return (tmp_path / "fetched").read_bytes()


def test_nothing_is_there_at_first(place, tmp_path):
    shared = SharedFolder(place)
    assert (shared.folders(), shared.files("a"), shared.read("a/b", at_most=10)) == ([], {}, None)
    with pytest.raises(DamagedContentError):
        fetched(shared, tmp_path, "a/b", b"content")


def test_content_comes_back_and_is_listed(place, tmp_path):
    shared = SharedFolder(f"{place}/")
    put(shared, tmp_path, b"content" * 1000, "a/one")
    put(shared, tmp_path, b"other", "a/two")
    put(shared, tmp_path, b"elsewhere", "b/three")
    assert shared.folders() == ["a", "b"]
    assert SharedFolder(place).files("a") == {"one": 7000, "two": 5}
    assert fetched(shared, tmp_path, "a/one", b"content" * 1000) == b"content" * 1000
    assert shared.read_many(["a/two", "a/none", "b/three"], at_most=9) == [b"other", None, b"elsewhere"]
    with pytest.raises(StorageError, match="is larger than 8 bytes"):
        shared.read("b/three", at_most=8)


def test_what_is_not_as_promised_is_not_believed(place, tmp_path):
    shared = SharedFolder(place)
    put(shared, tmp_path, b"content", "a/one")
    for expected in (b"contents", b"conten!"):  # another size, another content
        with pytest.raises(DamagedContentError):
            fetched(shared, tmp_path, "a/one", expected)
    put(shared, tmp_path, b"conten!", "a/one")
    assert fetched(shared, tmp_path, "a/one", b"content") == b"content"  # as many bytes: not uploaded
    put(shared, tmp_path, b"conten!", "a/one", again=True)
    assert fetched(shared, tmp_path, "a/one", b"conten!") == b"conten!"


def test_the_first_document_stays_unless_it_is_replaced(place):
    shared = SharedFolder(place)
    assert shared.create("a/done.json", b"first")
    assert not shared.create("a/done.json", b"second")
    assert shared.read("a/done.json", at_most=100) == b"first"
    shared.write("a/done.json", b"third")
    assert shared.read("a/done.json", at_most=100) == b"third"


def test_of_many_at_once_s3_lets_one_be_first(bucket):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as people:
        contents = [f"{number}".encode() for number in range(8)]
        written = list(people.map(lambda content: SharedFolder(bucket).create("done.json", content), contents))
    assert sum(written) == 1
    assert SharedFolder(bucket).read("done.json", at_most=10) == contents[written.index(True)]


def test_where_the_cache_is_shared(monkeypatch, tmp_path):
    assert shared_cache() is None
    monkeypatch.setenv("MITOZOO_SHARED_CACHE", "s3://bucket/cache/")
    assert shared_cache().place == "s3://bucket/cache"
    monkeypatch.setenv("MITOZOO_SHARED_CACHE", "somewhere")
    monkeypatch.chdir(tmp_path)
    assert shared_cache().place == str(tmp_path / "somewhere")
    assert all(map(is_url, ("s3://b", "file:///x")))
    assert not any(map(is_url, ("runs", "C:/runs", "/a/b", "./a:b")))


@pytest.mark.parametrize("place", ["s3://name:secret@bucket/x", "https://host/x?sig=secret", "simplecache::s3://b/x"])
def test_an_address_that_would_hold_a_secret_is_refused(place):
    with pytest.raises(StorageError, match="must hold neither password") as caught:
        SharedFolder(place)
    assert "secret" not in str(caught.value)


def test_failures_are_sentences(bucket, s3_line):
    with pytest.raises(StorageError, match="is in no bucket that exists"):
        SharedFolder(f"{bucket}-other/x").files("a")
    with pytest.raises(StorageError, match="is no address that fsspec knows"):
        SharedFolder("nonsense://x").files("a")
    s3_line.cut_after(0)
    with pytest.raises(StorageError, match=rf"cannot list {bucket}: .*") as caught:
        SharedFolder(bucket).files("a")
    assert "nothing was lost" in caught.value.hint


WITHOUT_S3FS = """
import sys
sys.modules["s3fs"] = None
from mitozoo.errors import StorageError
from mitozoo.shared import SharedFolder
try:
    SharedFolder("s3://bucket/x").files("a")
except StorageError as error:
    print(error)
"""


def test_what_must_be_installed_is_said():
    done = subprocess.run([sys.executable, "-c", WITHOUT_S3FS], capture_output=True, text=True, check=True)
    assert "s3://bucket/x cannot be reached: " in done.stdout
    assert 'pip install "mitozoo[s3]"' in done.stdout


def test_a_home_cannot_be_a_url(monkeypatch):
    from mitozoo.storage import home

    monkeypatch.setenv("MITOZOO_HOME", "s3://bucket/home")
    with pytest.raises(StorageError, match="must lie in a folder") as caught:
        home()
    assert "MITOZOO_SHARED_CACHE" in caught.value.hint
