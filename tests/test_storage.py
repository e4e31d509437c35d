"""Files appear whole or not at all, contents are hashed once, and a full disk is told of in a sentence."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mitozoo import leftovers, storage
from mitozoo.errors import DataError, StorageError
from mitozoo.storage import (
    content_id,
    content_ids,
    home,
    replace_folder_whole,
    require_free_space,
    write_folder_whole,
    write_whole,
)

needs_a_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")


@pytest.fixture
def own_home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_home_is_where_the_user_says(monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", "~/elsewhere")
    assert home() == Path.home() / "elsewhere"
    monkeypatch.delenv("MITOZOO_HOME")
    assert home().name == "mitozoo"
    assert home().is_absolute()


def test_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "a.json"
    with write_whole(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent  # the same disk, so that the move is atomic
        assert temporary.suffix == ".json"
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert [child.name for child in path.parent.iterdir()] == ["a.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def write_then_raise(path: Path, error: BaseException) -> None:
    path.write_text("new")
    raise error


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), DataError("no")])
def test_failed_write_leaves_what_was_there(error, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)) as caught, write_whole(path) as temporary:
        write_then_raise(temporary, error)
    assert caught.value is error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_appears_whole(tmp_path):
    path = tmp_path / "data"
    with write_folder_whole(path) as temporary:
        (temporary / "slides").mkdir()
        (temporary / "slides" / "a.tiff").write_bytes(b"a")
        assert not path.exists()
    assert (path / "slides" / "a.tiff").read_bytes() == b"a"
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_failed_folder_leaves_nothing(tmp_path):
    with pytest.raises(ValueError), write_folder_whole(tmp_path / "data") as temporary:
        write_then_raise(temporary / "a", ValueError())
    assert list(tmp_path.iterdir()) == []


def test_second_writer_of_a_folder_keeps_the_first_ones(tmp_path):
    path = tmp_path / "data"
    with write_folder_whole(path) as slow:
        (slow / "by").write_text("slow")
        with write_folder_whole(path) as quick:
            (quick / "by").write_text("quick")
    assert (path / "by").read_text() == "quick"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_takes_another_s_place_whole(tmp_path):
    target = tmp_path / "deep" / "site"
    for content in ("first", "second"):
        with replace_folder_whole(target) as unfinished:
            (unfinished / "below").mkdir()
            (unfinished / "below" / content).write_text(content)
            assert unfinished.parent == target.parent
            assert target.is_dir() == (content == "second")
    assert [path.name for path in target.rglob("*")] == ["below", "second"]
    assert [path.name for path in target.parent.iterdir()] == ["site"]


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_a_folder_whose_successor_fails_stays(error, tmp_path):
    target = tmp_path / "site"
    with replace_folder_whole(target) as unfinished:
        (unfinished / "kept").touch()

    def fail(folder):
        (folder / "new").touch()
        raise error

    with pytest.raises(type(error)), replace_folder_whole(target) as unfinished:
        fail(unfinished)
    assert [path.name for path in target.iterdir()] == ["kept"]
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_file_is_no_folder_to_replace(tmp_path):
    (tmp_path / "site").write_text("a file")
    with pytest.raises(StorageError, match="cannot write"), replace_folder_whole(tmp_path / "site") as unfinished:
        (unfinished / "new").touch()
    assert (tmp_path / "site").read_text() == "a file"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_error_while_a_finished_folder_is_there_is_still_an_error(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(StorageError), write_folder_whole(tmp_path / "data"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_folder_where_a_file_is(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageError, match=r"cannot write .*data"), write_folder_whole(tmp_path / "data") as temporary:
        (temporary / "a").write_text("a")


def test_body_that_cannot_read_says_so_itself(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.csv"), write_whole(tmp_path / "a"):
        (tmp_path / "missing.csv").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_full_disk_is_told_with_what_to_do(tmp_path):
    with pytest.raises(StorageError, match="No space left on device") as caught, write_whole(tmp_path / "a"):
        Path("/dev/full").write_bytes(b"a")
    assert "is full: free some space" in caught.value.hint
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


def test_place_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write in .*file") as caught, write_whole(tmp_path / "file" / "a"):
        pytest.fail("the body must not run")
    assert "MITOZOO_HOME" in caught.value.hint


@needs_a_user
def test_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="Permission denied"), write_whole(tmp_path / "a"):
            pytest.fail("the body must not run")
    finally:
        tmp_path.chmod(0o700)


def test_need_of_disk_is_checked_before_work(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10**9, used=0, free=5 * 10**6))
    require_free_space(tmp_path / "not" / "there" / "yet", 5 * 10**6, "the cache")
    with pytest.raises(StorageError) as caught:
        require_free_space(tmp_path / "not", 7_200_000_000, "the cache")
    assert caught.value.message == f"the cache needs 7,200 MB in {tmp_path / 'not'}, but only 5 MB are free"


def test_real_disk_has_a_byte_left(tmp_path):
    require_free_space(tmp_path, 1, "a byte")
    with pytest.raises(StorageError):
        require_free_space(tmp_path, sys.maxsize, "everything")


def count_hashing(monkeypatch) -> list[Path]:
    hashed: list[Path] = []
    really = storage._sha256

    def counted(path: Path) -> str:
        hashed.append(path)
        return really(path)

    monkeypatch.setattr(storage, "_sha256", counted)
    return hashed


def test_content_is_hashed_once_until_it_changes(own_home, tmp_path, monkeypatch):
    hashed = count_hashing(monkeypatch)
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_bytes(b"one")
    two.write_bytes(b"two")
    expected = [hashlib.sha256(text).hexdigest() for text in (b"one", b"two", b"one")]
    assert content_ids([one, two, one]) == expected
    assert hashed == [one, two]
    assert content_ids([one, two, one]) == expected
    assert content_id(two) == expected[1]
    assert hashed == [one, two]
    one.write_bytes(b"eno")
    os.utime(one, ns=(1, 1))
    assert content_id(one) == hashlib.sha256(b"eno").hexdigest()
    assert hashed == [one, two, one]


def test_files_of_one_size_and_date_that_swapped_their_names(own_home, tmp_path):
    """As an archive leaves them, which dates all alike; or a clock that jumped back."""
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_bytes(b"one")
    two.write_bytes(b"two")
    for path in (one, two):
        os.utime(path, ns=(1, 1))
    first, second = content_ids([one, two])
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    assert content_ids([one, two]) == [second, first]


@pytest.mark.parametrize("kind", ["a file", "a broken database"])
def test_content_ids_need_no_cache(kind, own_home, tmp_path, monkeypatch):
    if kind == "a file":  # as where the home cannot be written
        own_home.write_text("in the way")
    else:
        own_home.mkdir()
        (own_home / "content-ids.sqlite").write_bytes(b"not a database" * 100)
    hashed = count_hashing(monkeypatch)
    (tmp_path / "a").write_bytes(b"a")
    for _ in range(2):
        assert content_id(tmp_path / "a") == hashlib.sha256(b"a").hexdigest()
    assert len(hashed) == 2


@needs_a_user
def test_content_ids_with_a_home_that_may_not_be_written(own_home, tmp_path):
    own_home.mkdir(mode=0o500)
    (tmp_path / "a").write_bytes(b"a")
    assert content_id(tmp_path / "a") == hashlib.sha256(b"a").hexdigest()


def test_missing_and_unreadable_files_are_named(own_home, tmp_path):
    with pytest.raises(StorageError, match=r"cannot read .*nowhere: No such file"):
        content_id(tmp_path / "nowhere")
    with pytest.raises(StorageError, match=r"cannot read .*: Is a directory"):
        content_id(tmp_path)


def test_unfinished_files_are_recognised_by_their_name(tmp_path):
    with write_whole(tmp_path / "a") as temporary:
        assert temporary.name.startswith(leftovers.PREFIX)
        temporary.touch()
