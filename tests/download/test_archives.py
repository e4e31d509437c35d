"""Archives by people who mean ill, or whose disk was bad: refused in a sentence, and no byte outside the folder."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import stat
import struct
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mitozoo.download.archives import Bounds, Member, unpack
from mitozoo.errors import DownloadError, StorageError
from mitozoo.plugins.remote_files import RemoteFile

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"repo-main/README.md": b"hello", "repo-main/set/a/1.png": b"one", "repo-main/set/b/2.png": b"two" * 1000}


def archive_file(kind: str, **further) -> RemoteFile:
    return RemoteFile(url="https://example.org/a", path="set", holds="images", archive=kind, **further)


def make_zip(path: Path, files: dict[str, bytes], **modes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = modes.get("mode", 0o644 | stat.S_IFREG) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def make_tar(path: Path, members: dict[str, bytes | dict], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            for key, value in content.items() if isinstance(content, dict) else ():
                setattr(info, key, value)
            body = b"" if isinstance(content, dict) else content
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return path


@pytest.fixture
def refused(tmp_path):
    """Return a function that has an archive refused, with nothing written outside the folder."""

    def refused(path: Path, match: str, bounds: Bounds = Bounds(), **further) -> None:  # noqa: B008
        kind = "zip" if zipfile.is_zipfile(path) else "tar"
        before = {p for p in tmp_path.rglob("*") if "out" not in p.parts}
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        with pytest.raises((DownloadError, StorageError), match=match) as caught:
            unpack(path, archive_file(kind, **further), tmp_path / "out", bounds)
        assert "\n" not in caught.value.message
        assert {p for p in tmp_path.rglob("*") if "out" not in p.parts} == before
        assert not any(p.is_symlink() for p in (tmp_path / "out").rglob("*"))

    return refused


def pack(path: Path, kind: str) -> Path:
    return make_zip(path, FILES) if kind == "zip" else make_tar(path, FILES, kind)


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_what_is_wanted_is_unpacked_and_nothing_else(tmp_path, kind):
    path = pack(tmp_path / "archive", kind)
    file = archive_file("zip" if kind == "zip" else "tar", strip=1, only="set")
    members = unpack(path, file, tmp_path / "out", Bounds())
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")) == [
        "a/1.png",
        "b/2.png",
    ]
    assert (tmp_path / "out" / "b" / "2.png").read_bytes() == b"two" * 1000
    assert members["a/1.png"] == Member(3, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed")
    everything = unpack(path, archive_file(file.archive), tmp_path / "all", Bounds())
    assert set(everything) == set(FILES)


def test_what_a_mac_leaves_behind_is_left_out(tmp_path):
    files = {"a/1.png": b"1", "a/.DS_Store": b"x", "__MACOSX/a/._1.png": b"x", "a/._1.png": b"x"}
    members = unpack(make_zip(tmp_path / "z", files), archive_file("zip"), tmp_path / "out", Bounds())
    assert list(members) == ["a/1.png"]


def test_modes_and_owners_of_a_stranger_are_not_taken_over(tmp_path):
    path = make_tar(tmp_path / "t", {"a": b"1"})
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("a")
        info.mode, info.uid, info.size = 0o6777, 12345, 1
        archive.addfile(info, io.BytesIO(b"1"))
    unpack(path, archive_file("tar"), tmp_path / "out", Bounds())
    status = (tmp_path / "out" / "a").stat()
    assert status.st_mode & 0o7111 == 0
    assert status.st_uid == os.getuid()


BAD_NAMES = {
    "../evil": "leads out",
    "a/../../evil": "leads out",
    "a/../b": "leads out",
    "/etc/evil": "absolute",
    "//etc/evil": "absolute",
    "..\\evil": "none on every system",
    "C:\\evil": "none on every system",
    "C:/evil": "none on every system",
    "a/con": "none on every system",
    "a/NUL.txt": "none on every system",
    "a/com1 .png": "none on every system",
    "a/b.": "none on every system",
    "a/b ": "none on every system",
    "a/b:stream": "none on every system",
    "a/b\x01": "none on every system",
    "a/gnp.\u202eexe": "none on every system",
    "a/" + "x" * 300: "too long",
    "a/" * 40 + "x": "deep",
}


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_astray_are_refused(tmp_path, refused, name, kind):
    files = {"fine": b"1", name: b"evil"}
    make = make_zip if kind == "zip" else make_tar
    refused(make(tmp_path / "archive", files), BAD_NAMES[name])


def test_a_name_cut_short_by_a_nul_is_refused(tmp_path, refused):
    path = make_zip(tmp_path / "z", {"a/fine.pngXevil.exe": b"1"})
    path.write_bytes(path.read_bytes().replace(b"fine.pngXevil", b"fine.png\0evil"))
    refused(path, "none on every system")


@pytest.mark.parametrize(
    "names",
    [
        ("a/x.png", "a/X.png"),
        ("a/x.png", "A/y.png"),
        ("a/\u00e9", "a/e\u0301"),
        ("a/stra\u00dfe", "a/STRASSE"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("a/x.png", "a/x.png"),
        ("a/x.png", "a/./x.png"),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_some_system_takes_for_each_other_are_refused(tmp_path, refused, names, kind):
    path = tmp_path / "archive"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, name)
    else:
        with tarfile.open(path, "w") as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    refused(path, "clashes with the (file|folder)")


def test_folders_may_be_listed_twice(tmp_path):
    with tarfile.open(tmp_path / "t", "w") as archive:
        for name in ("a", "a/b", "a", "a/b"):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        archive.addfile(tarfile.TarInfo("a/b/c"), io.BytesIO())
    assert list(unpack(tmp_path / "t", archive_file("tar"), tmp_path / "out", Bounds())) == ["a/b/c"]


@pytest.mark.parametrize(
    "what",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "fine"},
        {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3},
        {"type": tarfile.BLKTYPE},
        {"type": tarfile.FIFOTYPE},
        {"type": b"Z"},
    ],
)
def test_a_tar_holds_files_and_folders_alone(tmp_path, refused, what):
    refused(make_tar(tmp_path / "t", {"fine": b"1", "link": what}), "is a link or a device")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_zip_holds_files_and_folders_alone(tmp_path, refused, kind):
    refused(make_zip(tmp_path / "z", {"link": b"/etc/passwd"}, mode=kind | 0o777), "is a link or a device")


def test_writing_through_a_link_is_impossible(tmp_path, refused):
    refused(
        make_tar(tmp_path / "t", {"a": {"type": tarfile.SYMTYPE, "linkname": str(tmp_path)}, "a/evil": b"1"}),
        "is a link or a device",
    )
    assert not (tmp_path / "evil").exists()


def test_an_encrypted_member_is_refused(tmp_path, refused):
    path = make_zip(tmp_path / "z", {"a": b"1"})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        content[content.index(mark) + offset] |= 1
    path.write_bytes(content)
    refused(path, "is encrypted")


def test_bombs_are_refused(tmp_path, refused):
    tight = Bounds(always=1000, ratio=20)
    refused(make_zip(tmp_path / "z", {"zeros": bytes(10_000_000)}), "which no real one does", tight)
    refused(make_tar(tmp_path / "t", {"zeros": bytes(10_000_000)}, "w:gz"), "which no real one does", tight)
    many = {f"f{number}": bytes(900) for number in range(50)}
    refused(make_zip(tmp_path / "z", many), "which no real one does", Bounds(always=1000, ratio=2))
    refused(make_zip(tmp_path / "z", many), "is one of more than 20", Bounds(files=20))
    assert len(unpack(tmp_path / "z", archive_file("zip"), tmp_path / "fine", Bounds())) == 50


def test_a_header_that_claims_less_than_comes_is_refused(tmp_path, refused):
    path = make_zip(tmp_path / "z", {"zeros": bytes(5_000_000)})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        struct.pack_into("<I", content, content.index(mark) + offset, 10)
    path.write_bytes(content)
    refused(path, "cannot be unpacked: Bad CRC-32|cannot be unpacked")


def test_members_that_share_their_bytes_are_refused_or_bounded(tmp_path, refused):
    """Fifield's bomb: many entries of the directory point to one and the same compressed body."""
    path = make_zip(tmp_path / "z", {"a": bytes(1_000_000)})
    content = path.read_bytes()
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entry = content[start:end]
    entries = b"".join(entry.replace(b"a", bytes([98 + n]), 1) for n in range(20))
    tail = bytearray(content[end:])
    struct.pack_into("<HHII", tail, 8, 20, 20, len(entries), start)
    path.write_bytes(content[:start] + entries + bytes(tail))
    refused(path, "cannot be unpacked|no real one does", Bounds(always=1000))


def test_a_disk_without_room_is_told_before_it_is_full(tmp_path, refused):
    told = r"does not fit the disk: it unpacks to 100,000 bytes"
    refused(make_zip(tmp_path / "z", {"a": bytes(100_000)}), told, Bounds(free=99_999))


def test_a_name_that_claims_gigabytes_fills_no_memory(tmp_path, refused):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 3 << 30
    path = tmp_path / "t"
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    refused(path, "claims 3,221,225,472 bytes")


def test_damaged_archives_are_told(tmp_path, refused):
    whole = pack(tmp_path / "whole", "w:gz").read_bytes()
    for name, content in {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "page": b"<html>",
        "crc": whole[:-8] + bytes(8),
        "not gzip": gzip.compress(b"no tar at all" * 100),
    }.items():
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, "cannot be unpacked|holds no files")


def test_an_archive_without_what_is_wanted_is_told(tmp_path, refused):
    refused(make_zip(tmp_path / "z", FILES), "holds no files below other", strip=1, only="other")
    with zipfile.ZipFile(tmp_path / "empty", "w"):
        pass
    with pytest.raises(DownloadError, match="holds no files"):
        unpack(tmp_path / "empty", archive_file("zip"), tmp_path / "out2", Bounds())


def test_a_disk_that_cannot_be_written_to_is_not_the_archives_fault(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot unpack https://example"):
        unpack(make_zip(tmp_path / "z", FILES), archive_file("zip"), tmp_path / "file" / "out", Bounds())


NAMES = st.text("ab./\\:A\0 ~é", min_size=1, max_size=12)
QUIET = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(names=st.lists(NAMES, min_size=1, max_size=4), kind=st.sampled_from(["zip", "tar"]), strip=st.integers(0, 2))
@QUIET
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_whatever_the_names_all_lies_in_the_folder_or_all_is_refused(tmp_path_factory, names, kind, strip):
    folder = tmp_path_factory.mktemp("any")
    if kind == "zip":
        with zipfile.ZipFile(folder / "archive", "w") as archive:
            for name in names:
                archive.writestr(zipfile.ZipInfo(name), name)
    else:
        make_tar(folder / "archive", {name: name.encode() for name in names})
    try:
        members = unpack(folder / "archive", archive_file(kind, strip=strip), folder / "out", Bounds())
    except DownloadError:
        members = None
    assert {path.name for path in folder.iterdir()} <= {"archive", "out"}
    if members is not None:
        written = {p.relative_to(folder / "out").as_posix() for p in (folder / "out").rglob("*") if p.is_file()}
        assert written == set(members)
        assert len({name.casefold() for name in written}) == len(written)


@given(
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=5), keep=st.floats(0.1, 1)
)
@pytest.mark.parametrize("kind", ["zip", "w", "w:gz"])
@QUIET
def test_any_bytes_are_unpacked_or_refused(tmp_path_factory, kind, edits, keep):
    folder = tmp_path_factory.mktemp("any")
    content = bytearray(pack(folder / "whole", kind).read_bytes())
    for place, value in edits:
        start = int(place * (len(content) - len(value)))
        content[start : start + len(value)] = value
    (folder / "archive").write_bytes(content[: int(len(content) * keep)] if keep < 0.9 else content)
    with contextlib.suppress(DownloadError):
        unpack(folder / "archive", archive_file("zip" if kind == "zip" else "tar"), folder / "out", Bounds())
    assert {path.name for path in folder.iterdir()} <= {"whole", "archive", "out"}
