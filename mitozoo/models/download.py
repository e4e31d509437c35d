"""Fetch a file from a web address: bounded, verified, and either whole or not there."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from typing import TYPE_CHECKING

from mitozoo import storage
from mitozoo.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: No encoder's file is larger; a server that sends more does not send an encoder.
MAX_BYTES = 32 * 10**9
_TIMEOUT_SECONDS = 60
_CHUNK_BYTES = 1 << 20


def download(url: str, path: Path, *, sha256: str | None, max_bytes: int = MAX_BYTES) -> None:
    """Fetch `url` to `path`, which appears only once the file is complete and is the one declared.

    Args:
        url: https; plain http only where `sha256` says what must come.
        path: where to keep it.
        sha256: of the file; None: not known.
        max_bytes: give up beyond.

    Raises:
        ModelError: it cannot be fetched, is larger than allowed, ends early, or is another file.
    """
    if not url.startswith(("https://", "http://") if sha256 else "https://"):
        raise ModelError(f"refused {url}: without a known sha256, weights are fetched by https alone")
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise ModelError(f"cannot fetch {url}: offline mode is on (HF_HUB_OFFLINE)")
    request = urllib.request.Request(url, headers={"User-Agent": "mitozoo"})  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer, storage.write_whole(path) as part:  # noqa: S310
            measured = _receive(answer, part, url, max_bytes)
            if sha256 is not None and measured != sha256:
                raise ModelError(
                    f"refused what {url} gives: its sha256 is {measured}, but the model declares {sha256}",
                    hint="The file has been changed or the answer is an error page; nothing was kept.",
                )
    except (OSError, http.client.HTTPException) as error:  # URLError and HTTPError are OSErrors
        raise ModelError(f"cannot fetch {url}: {error}") from error


def _receive(answer: http.client.HTTPResponse, part: Path, url: str, max_bytes: int) -> str:
    """Write the answer to a file and return its sha256."""
    length = answer.headers.get("Content-Length") or ""
    announced = int(length) if length.isdigit() else 0
    if announced > max_bytes:
        raise ModelError(f"refused {url}: it has {announced:,} bytes, and at most {max_bytes:,} are taken")
    storage.require_free_space(part.parent, announced, f"the file {url}")
    digest, received = hashlib.sha256(), 0
    with part.open("wb") as file:
        for chunk in _chunks(answer, url):
            received += len(chunk)
            if received > max_bytes:
                raise ModelError(f"refused {url}: it does not end after {max_bytes:,} bytes")
            digest.update(chunk)
            file.write(chunk)
    if received < announced:
        raise ModelError(f"cannot fetch {url}: it ended after {received:,} of {announced:,} bytes")
    return digest.hexdigest()


def _chunks(answer: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    """Yield what comes; a broken connection is told from a file that cannot be written."""
    try:
        while chunk := answer.read(_CHUNK_BYTES):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise ModelError(f"cannot fetch {url}: {error}") from error
