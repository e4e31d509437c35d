"""One file over a bad line: resumed, retried, and never anything else than what was published."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import random
import resource
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest
from file_server import chunked, claims, hangs_up, redirect, status, whole

from mitozoo.download import answers
from mitozoo.download.partial import Partial
from mitozoo.download.patience import PassingError, Patience, retry_after
from mitozoo.download.transfer import Downloader, StoppedError
from mitozoo.errors import DownloadError, MitozooError, SpecError, StorageError
from mitozoo.plugins.remote_files import RemoteFile

CONTENT = random.Random(0).randbytes(700_001)
MD5, SHA256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def take(site, downloader, tmp_path):
    """Return a function that fetches what a path plays, and gives the bytes."""

    def take(*acts, **declared) -> bytes:
        url = site.play("/slide.svs", *acts) if acts else f"{site.address}/slide.svs"
        file = RemoteFile(url=url, path="slide.svs", holds="images", **declared)
        part = tmp_path / "work" / "slide.part"
        came = [part.stat().st_size if part.exists() else 0]
        partial = downloader.fetch(file, part, came.append)
        assert sum(came) == partial.length
        assert (partial.md5, partial.sha256) == (
            hashlib.md5(partial.path.read_bytes() if partial.length else b"").hexdigest(),
            hashlib.sha256(partial.path.read_bytes() if partial.length else b"").hexdigest(),
        )
        partial.finish(tmp_path / "slide.svs")
        return (tmp_path / "slide.svs").read_bytes()

    return take


@pytest.fixture
def nothing_kept(tmp_path):
    yield
    assert not (tmp_path / "slide.svs").exists()
    assert not (tmp_path / "work" / "slide.part").exists()


def ranges(site) -> list[str]:
    return [wanted for _, wanted in site.requests]


def test_a_good_server_is_asked_once(site, take, waits):
    assert take(whole(CONTENT), size=len(CONTENT), md5=MD5, sha256=SHA256) == CONTENT
    assert (ranges(site), waits) == ([""], [])


def test_a_line_that_breaks_is_taken_up_where_it_broke(site, take, waits):
    acts = [whole(CONTENT, cut_after=at) for at in (100_000, 1, 250_000)]
    assert take(*acts, hangs_up, whole(CONTENT)) == CONTENT
    assert ranges(site) == ["", "bytes=100000-", "bytes=100001-", "bytes=350001-", "bytes=350001-"]
    assert waits == [1, 1, 1, 2]  # whatever brings a byte starts the count anew


def test_a_server_without_ranges_is_begun_anew(site, take):
    assert take(whole(CONTENT, ranges=False, cut_after=5000), whole(CONTENT, ranges=False)) == CONTENT
    assert ranges(site) == ["", "bytes=5000-"]


def test_a_server_that_names_no_version_is_begun_anew_unless_a_checksum_tells(site, take):
    assert take(whole(CONTENT, etag=None, cut_after=5000), whole(CONTENT, etag=None)) == CONTENT
    assert ranges(site) == ["", ""]
    site.requests.clear()
    assert take(whole(CONTENT, etag=None, cut_after=5000), whole(CONTENT, etag=None), sha256=SHA256) == CONTENT
    assert ranges(site) == ["", "bytes=5000-"]


def test_a_weak_version_is_none(site, take):
    tag = 'W/"1"'
    assert take(whole(CONTENT, etag=tag, cut_after=5000), whole(CONTENT, etag=tag)) == CONTENT
    assert ranges(site) == ["", ""]


def test_a_date_is_a_version(site, take):
    dated = {"etag": None, "Last_Modified": "Sat, 21 Nov 2020 10:00:00 GMT"}
    assert take(whole(CONTENT, cut_after=5000, **dated), whole(CONTENT, ranges=False, **dated)) == CONTENT
    assert ranges(site) == ["", "bytes=5000-"]


def test_a_file_that_changes_between_attempts_is_never_mixed(take):
    other = bytes(len(CONTENT))
    assert take(whole(CONTENT, cut_after=300_000), whole(other)) == other


def test_a_changed_file_is_never_mixed_even_where_the_server_forgets_to_compare(take):
    other = bytes(len(CONTENT))

    def forgetful(handler):
        del handler.headers["If-Range"]
        whole(other)(handler)

    assert take(whole(CONTENT, cut_after=300_000), forgetful) == other


@pytest.mark.parametrize("first", [{"etag": '"1"'}, {"etag": None, "Last_Modified": "Sat, 21 Nov 2020 10:00:00 GMT"}])
def test_an_answer_that_names_another_version_is_not_taken(take, first):
    other = bytes(len(CONTENT))

    def forgetful(handler):
        del handler.headers["If-Range"]
        whole(other, etag=None, Last_Modified="Sun, 22 Nov 2020 10:00:00 GMT")(handler)

    assert take(whole(CONTENT, cut_after=300_000, **first), forgetful) == other


def test_another_part_than_the_one_asked_for_is_not_taken(take):
    def wrong_part(handler):
        named = {"Content-Range": f"bytes 10-{len(CONTENT) - 1}/{len(CONTENT)}", "Content-Length": len(CONTENT) - 10}
        handler.begin(206, named)
        handler.wfile.write(CONTENT[10:])

    assert take(whole(CONTENT, cut_after=300_000), wrong_part, whole(CONTENT)) == CONTENT


def test_a_range_that_cannot_be_had_begins_anew(take):
    short = status(416, b"<html>", Content_Range="bytes */10", Content_Type="text/html")
    assert take(whole(CONTENT, cut_after=300_000), short, whole(CONTENT)) == CONTENT


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again_ever_later(take, waits, code):
    assert take(*[status(code)] * 5, whole(CONTENT)) == CONTENT
    assert waits == [1, 2, 4, 8, 16]


def test_a_server_is_left_alone_for_as_long_as_it_asks(take, waits):
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    acts = [status(429, Retry_After="7"), status(503, Retry_After=soon), status(503, Retry_After="tomorrow")]
    assert take(*acts, whole(CONTENT)) == CONTENT
    assert waits[0] == 7
    assert 100 < waits[1] <= 120
    assert waits[2] == 4


def test_a_server_that_asks_for_too_long_is_not_waited_for(take, waits, nothing_kept):
    with pytest.raises(DownloadError, match=r"429 Too Many Requests, and asks to be left alone for 86,400 s") as caught:
        take(status(429, Retry_After="86400"))
    assert "Run the same command again after that" in caught.value.hint
    assert waits == []


def test_what_stays_broken_is_given_up_and_what_came_is_kept(site, take, waits, tmp_path):
    with pytest.raises(DownloadError, match=r"the server answered 503 Service Unavailable \(7 times in a row\)"):
        take(whole(CONTENT, cut_after=300_000), status(503))
    assert waits == [1, 2, 4, 8, 16, 32]
    assert (tmp_path / "work" / "slide.part").stat().st_size == 300_000
    assert not (tmp_path / "slide.svs").exists()
    site.requests.clear()
    assert take(whole(CONTENT)) == CONTENT  # another run of the program
    assert ranges(site) == ["bytes=300000-"]


def test_nobody_listens(downloader, tmp_path, waits):
    file = RemoteFile(url="http://127.0.0.1:9/x", path="x", holds="images")
    with pytest.raises(DownloadError, match=r"cannot fetch http://127\.0\.0\.1:9/x: .*7 times in a row"):
        downloader.fetch(file, tmp_path / "x.part", lambda _: None)
    assert len(waits) == 6


@pytest.mark.parametrize(
    ("code", "reason"), [(404, "no such file"), (401, "signed in"), (403, "not give"), (202, "202")]
)
def test_what_will_not_get_better_is_not_asked_for_again(take, waits, nothing_kept, code, reason):
    with pytest.raises(DownloadError, match=rf"the server answered {code}: .*{reason}" if code != 202 else "202"):
        take(status(code))
    assert waits == []


def test_a_length_that_is_too_long_is_a_broken_line(take, waits, tmp_path):
    with pytest.raises(DownloadError, match=r"7 times in a row"):
        take(claims(len(CONTENT) + 5, CONTENT))
    assert len(waits) == 6
    assert not (tmp_path / "slide.svs").exists()


def test_a_length_that_is_not_the_published_one_is_refused(take, nothing_kept, waits):
    with pytest.raises(DownloadError, match=r"it has 700,006 bytes, and 700,001 are published"):
        take(claims(len(CONTENT) + 5, CONTENT), size=len(CONTENT))
    with pytest.raises(DownloadError, match=r"it has 500 bytes, and 700,001 are published"):
        take(claims(500, CONTENT), size=len(CONTENT))
    assert waits == []


def test_a_length_that_is_too_short_is_found_by_the_checksum(take, nothing_kept):
    with pytest.raises(DownloadError, match=r"its sha256 is [0-9a-f]{64}, and [0-9a-f]{64} is published"):
        take(claims(500, CONTENT), sha256=SHA256)


def test_what_does_not_end_is_cut_off(take, nothing_kept):
    with pytest.raises(DownloadError, match=r"does not end after the 1,000 bytes that are published"):
        take(chunked(CONTENT), size=1000)


def test_a_file_of_untold_length_is_whole_when_the_server_says_so(take, waits):
    assert take(chunked(CONTENT)) == CONTENT
    assert take(chunked(CONTENT, ends=False), chunked(CONTENT)) == CONTENT
    assert waits == [1]


def test_an_empty_file_is_one(take):
    assert take(whole(b""), size=0) == b""


def test_wrong_bytes_are_refused_and_nothing_is_kept(take, nothing_kept, waits):
    wrong = CONTENT[:-1] + b"!"
    with pytest.raises(DownloadError, match=rf"its md5 is [0-9a-f]{{32}}, and {MD5} is published") as caught:
        take(whole(wrong), size=len(CONTENT), md5=MD5)
    assert "nothing was kept" in caught.value.hint
    assert waits == []


def test_parts_that_do_not_make_the_file_are_fetched_once_more_and_then_refused(site, take, nothing_kept):
    wrong = whole(CONTENT[:-1] + b"!", etag='"1"')
    begun = whole(CONTENT, etag='"1"', cut_after=5000)
    with pytest.raises(DownloadError, match="its sha256 is"):
        take(begun, wrong, sha256=SHA256)
    assert ranges(site) == ["", "bytes=5000-", ""]


def test_a_damaged_beginning_is_fetched_once_more(site, take, tmp_path):
    with pytest.raises(DownloadError):
        take(whole(CONTENT, cut_after=300_000), status(404), sha256=SHA256)
    part = tmp_path / "work" / "slide.part"
    part.write_bytes(bytes(300_000))  # a disk that lost its cache
    site.requests.clear()
    assert take(whole(CONTENT), sha256=SHA256) == CONTENT
    assert ranges(site) == ["bytes=300000-", ""]


@pytest.mark.parametrize(
    "told",
    [
        {"Content_MD5": base64.b64encode(hashlib.md5(CONTENT).digest()).decode()},
        {"Repr_Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()}:"},
        {"etag": f'"md5:{MD5}"'},
    ],
)
def test_a_checksum_that_the_server_tells_is_verified(take, told):
    wrong = CONTENT[:-1] + b"!"
    with pytest.raises(DownloadError, match=r"refused what .* gives: its (md5|sha256) is"):
        take(whole(wrong, **told))
    assert take(whole(CONTENT, **told)) == CONTENT
    assert take(whole(CONTENT, cut_after=1000, **told), whole(CONTENT, **{**told, "Content_MD5": "AAAA"})) == CONTENT


def test_a_web_page_is_no_slide(take, nothing_kept):
    with pytest.raises(DownloadError, match="sent a web page in place of the file"):
        take(whole(b"<html>please sign in</html>", Content_Type="text/html; charset=utf-8"))


def test_an_answer_that_is_packed_once_more_is_refused(take, nothing_kept):
    with pytest.raises(DownloadError, match="packs it as 'gzip'"):
        take(whole(CONTENT, Content_Encoding="gzip"))


def test_redirects_are_followed_with_the_range(site, take):
    site.play("/elsewhere", whole(CONTENT, cut_after=1000), whole(CONTENT))
    assert take(redirect("/elsewhere")) == CONTENT
    assert [path for path, _ in site.requests] == ["/slide.svs", "/elsewhere"] * 2
    assert site.requests[-1][1] == "bytes=1000-"


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("/slide.svs", "sent on more than 10 times"),
        ("file:///etc/hostname", "files come by https alone"),
        ("ftp://127.0.0.1/slide.svs", "files come by https alone"),
        ("http://example.org/slide.svs", "files come by https alone"),
        ("http://[::1/", "an address that is none|files come by"),
    ],
)
def test_redirects_that_lead_astray_are_refused(take, nothing_kept, to, reason):
    with pytest.raises(MitozooError, match=reason):
        take(redirect(to))


def test_https_is_never_left_for_http():
    """No certificate is at hand, so the answer of an https server is made by the client's own test transport."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.scheme == "https":
            return httpx2.Response(302, headers={"Location": "http://127.0.0.1/slide.svs"})
        return httpx2.Response(200, content=CONTENT)

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as client,
        pytest.raises(DownloadError, match=r"sent on to http://127\.0\.0\.1/slide\.svs, and files come by https alone"),
        answers.answer_to(client, "https://example.org/slide.svs", {}, pinned=True),
    ):
        pass


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://x.org/x", "file:///x", "https://", "https://x:y/", "x"])
def test_addresses_that_anybody_could_tamper_with_are_no_record(url):
    with pytest.raises(SpecError, match="remote files come by https"):
        RemoteFile(url=url, path="x", holds="images")


@pytest.mark.parametrize(
    "path", ["/x", "../x", "a/../../x", "", ".", "a//b", "C:/x", "a\\b", ".mitozoo-files.json", "a/"]
)
def test_places_outside_the_folder_are_no_record(path):
    with pytest.raises(SpecError, match="must be a plain relative path"):
        RemoteFile(url="https://example.org/x", path=path, holds="images")


def test_a_full_disk_is_told_and_what_came_is_kept(take, tmp_path, monkeypatch):
    with pytest.raises(DownloadError):
        take(whole(CONTENT, cut_after=300_000), status(404))

    @contextlib.contextmanager
    def on_a_full_disk(self):
        with open("/dev/full", "ab", buffering=0) as file:  # noqa: PTH123 - a real device that is always full
            yield file

    with monkeypatch.context() as patch:
        patch.setattr(Partial, "appending", on_a_full_disk)
        with pytest.raises(StorageError, match="No space left on device") as caught:
            take(whole(CONTENT))
    assert "nothing was lost" in caught.value.hint
    assert (tmp_path / "work" / "slide.part").read_bytes() == CONTENT[:300_000]


def test_a_disk_that_takes_no_large_files_is_told(take):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*File too large"):
            take(whole(CONTENT))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_folder_that_cannot_be_written_to_is_told(site, downloader, tmp_path):
    (tmp_path / "work").touch()
    file = RemoteFile(url=site.play("/x", whole(CONTENT)), path="x", holds="images")
    with pytest.raises(StorageError, match="cannot write"):
        downloader.fetch(file, tmp_path / "work" / "x.part", lambda _: None)


def test_a_stopped_transfer_keeps_what_came(site, downloader, tmp_path):
    file = RemoteFile(url=site.play("/x", whole(CONTENT)), path="x", holds="images")

    def stop_soon(count: int) -> None:
        downloader.stopped.set()

    with pytest.raises(StoppedError):
        downloader.fetch(file, tmp_path / "x.part", stop_soon)
    kept = (tmp_path / "x.part").read_bytes()
    assert 0 < len(kept) < len(CONTENT)
    assert CONTENT.startswith(kept)


def test_a_stop_ends_a_wait_at_once(site, client, tmp_path):
    downloader = Downloader(client=client)
    file = RemoteFile(url=site.play("/x", status(503, Retry_After="300")), path="x", holds="images")
    downloader.stopped.set()
    with pytest.raises(StoppedError):
        downloader.fetch(file, tmp_path / "x.part", lambda _: None)


def test_a_size_is_asked_for_without_fetching(site, downloader):
    for act, size in (
        (whole(CONTENT), len(CONTENT)),
        (whole(CONTENT, ranges=False), len(CONTENT)),
        (chunked(b"x"), None),
        (whole(b""), None),
    ):
        file = RemoteFile(url=site.play("/x", act), path="x", holds="images")
        assert downloader.size(file) == size
    with pytest.raises(DownloadError, match="404"):
        downloader.size(RemoteFile(url=f"{site.address}/absent", path="x", holds="images"))


def test_waits_grow_to_a_bound_and_are_spread():
    patience = Patience(jitter=lambda: 0.0)
    assert [patience.seconds(n, PassingError("x")) for n in (1, 2, 3, 20)] == [0.5, 1, 2, 30]
    assert retry_after(None) is retry_after("") is retry_after("-5") is retry_after("soon") is None
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
