"""Ask a server for a file: where redirects may lead, which answers are worth asking again, and what headers promise."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from importlib.metadata import version
from typing import TYPE_CHECKING

import httpx2

from mitozoo.download.partial import Promise
from mitozoo.download.patience import PassingError, retry_after
from mitozoo.errors import DownloadError
from mitozoo.plugins.remote_files import trusted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
MAX_REDIRECTS = 10
_TIMEOUT = httpx2.Timeout(30.0, pool=None)  # Ctrl-C waits as long for a line that has gone silent
_REASONS = {
    401: "it is given to those only who have signed in",
    403: "the server does not give it to everybody",
    404: "there is no such file any more",
    410: "there is no such file any more",
}


def new_client(connections: int) -> httpx2.Client:
    """Return a client that follows nothing by itself and takes files as they are."""
    return httpx2.Client(
        timeout=_TIMEOUT,
        follow_redirects=False,
        limits=httpx2.Limits(max_connections=connections),
        headers={"User-Agent": f"mitozoo/{version('mitozoo')}", "Accept-Encoding": "identity", "Accept": "*/*"},
    )


@contextlib.contextmanager
def answer_to(
    client: httpx2.Client, url: str, headers: Mapping[str, str], *, pinned: bool
) -> Iterator[httpx2.Response]:
    """Yield the last answer on a way of redirects, its body still to be read.

    Args:
        client: from `new_client`.
        url: the address.
        headers: further ones of the request.
        pinned: whether a declared sha256 says what must come, so that it may come by plain http.

    Raises:
        PassingError: the connection failed, or the server is busy.
        DownloadError: a redirect leads where it must not, or in a circle, or the server refuses.
    """
    response: httpx2.Response | None = None
    try:
        request = client.build_request("GET", url, headers=dict(headers))
        for _ in range(MAX_REDIRECTS + 1):
            response = client.send(request, stream=True)
            if not response.has_redirect_location:
                break
            response.close()
            request = _next(request, response, url, pinned=pinned)
        else:
            raise DownloadError(f"refused {url}: its server sent on more than {MAX_REDIRECTS} times")
        _require_success(response, url)
        yield response
    except httpx2.UnsupportedProtocol as error:
        raise DownloadError(f"refused {url}: {error}") from error
    except (httpx2.RequestError, httpx2.StreamError) as error:
        raise PassingError(str(error) or type(error).__name__) from error
    except httpx2.InvalidURL as error:
        raise DownloadError(f"refused {url}: {error}") from error
    finally:
        if response is not None:
            response.close()


def promise_of(response: httpx2.Response, url: str) -> Promise:
    """Return what a whole (200) or partial (206) answer says of the file."""
    headers, whole = response.headers, response.status_code == 200
    etag = headers.get("ETag", "").strip()
    weak = etag.startswith("W/")
    length = headers.get("Content-Length", "")
    size = int(length) if whole and length.isascii() and length.isdigit() else None
    if not whole and (told := content_range(response)):
        size = told[1]
    named_md5 = re.fullmatch(r'"?md5:([0-9a-f]{32})"?', etag)  # as Zenodo's archive writes it
    return Promise(
        url=url,
        validator=(etag if not weak else "") or headers.get("Last-Modified", "").strip(),
        etag=etag,
        size=size,
        md5=named_md5[1] if named_md5 else _hex(headers.get("Content-MD5", ""), 16) if whole else "",
        sha256=_hex(_digest(headers.get("Repr-Digest", "")), 32),
    )


def content_range(response: httpx2.Response) -> tuple[int, int | None] | None:
    """Return the first byte and the size of the whole that a partial answer states."""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if match is None:
        return None
    return int(match[1]), None if match[3] == "*" else int(match[3])


def require_plain(response: httpx2.Response, url: str, path: str) -> None:
    """Raise `DownloadError` for an answer that is packed once more, or is a web page in place of a file."""
    if (packed := response.headers.get("Content-Encoding", "identity")) != "identity":
        raise DownloadError(f"refused {url}: its server packs it as '{packed}', which was not asked for")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "text/html" and not path.lower().endswith((".html", ".htm")):
        raise DownloadError(f"refused {url}: its server sent a web page in place of the file")


def _next(request: httpx2.Request, response: httpx2.Response, url: str, *, pinned: bool) -> httpx2.Request:
    following = response.next_request
    if following is None:
        raise DownloadError(f"refused {url}: its server sent on to an address that is none")
    downgraded = request.url.scheme == "https" and following.url.scheme != "https"
    if downgraded or not trusted(str(following.url), pinned=pinned):
        raise DownloadError(f"refused {url}: its server sent on to {following.url}, and files come by https alone")
    return following


def _require_success(response: httpx2.Response, url: str) -> None:
    status = response.status_code
    if status in (200, 206, 416):
        return
    if status in PASSING_STATUS:
        asked = retry_after(response.headers.get("Retry-After"))
        raise PassingError(f"the server answered {status} {response.reason_phrase}".strip(), asked)
    reason = _REASONS.get(status, f"{response.reason_phrase or 'no file'}")
    raise DownloadError(f"cannot fetch {url}: the server answered {status}: {reason}")


def _digest(header: str) -> str:
    """Return the base64 text of a sha-256 in a Repr-Digest header (RFC 9530), '' where there is none."""
    match = re.search(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):", header)
    return match[1] if match else ""


def _hex(text: str, size: int) -> str:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return value.hex() if len(value) == size else ""
