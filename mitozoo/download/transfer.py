"""Fetch one file: on from where it broke off, as often as it takes, and never a byte that is not its own."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TypeVar

from mitozoo.download.answers import answer_to, content_range, new_client, promise_of, require_plain
from mitozoo.download.partial import Partial, Promise
from mitozoo.download.patience import PassingError, Patience
from mitozoo.errors import DownloadError

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

    from mitozoo.plugins.remote_files import RemoteFile

T = TypeVar("T")
Advance = Callable[[int], None]  # told how many more bytes came; fewer than none after a new start
_FAILURES_OF_A_QUESTION = 2  # sizes are good to know, and not worth a long wait


class StoppedError(Exception):
    """The user, or another file's failure, stopped this transfer; what came is kept."""


class Downloader:
    """Fetches files over shared connections.

    Attributes:
        patience: how failures are borne.
        stopped: set it, and every transfer ends at its next chunk with `StoppedError`.
    """

    def __init__(
        self, *, connections: int = 4, patience: Patience | None = None, client: httpx2.Client | None = None
    ) -> None:
        self.stopped = threading.Event()
        self.patience = patience or Patience(sleep=self.stopped.wait)
        self._client = client or new_client(connections)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def size(self, file: RemoteFile) -> int | None:
        """Return a file's size in bytes as its server tells it, without fetching it; None where it does not.

        Raises:
            DownloadError: the server cannot be reached, or does not give the file.
        """

        def ask() -> int | None:
            with answer_to(self._client, file.url, {"Range": "bytes=0-0"}, pinned=bool(file.sha256)) as response:
                return None if response.status_code == 416 else promise_of(response, file.url).size

        patience = dataclasses.replace(self.patience, failures=min(self.patience.failures, _FAILURES_OF_A_QUESTION))
        return self._patiently(file.url, ask, lambda: 0, patience)

    def fetch(self, file: RemoteFile, path: Path, advance: Advance) -> Partial:
        """Fetch a file to `path`; return it whole and checked, for the caller to give it its name.

        Args:
            file: what to fetch.
            path: where bytes gather; what an earlier call left there is made use of.
            advance: told of progress.

        Raises:
            DownloadError: it cannot be had, or is not the file that was published; then nothing is kept.
            StorageError: the disk is full or cannot be written to.
            StoppedError: see `stopped`.
        """
        partial = Partial(path, file.url)
        self._bring(file, partial, advance)
        if partial.resumed and _problem(file, partial):  # its beginning may be damaged, or another file's: once more
            _start_anew(partial, advance)
            self._bring(file, partial, advance)
        if problem := _problem(file, partial):
            raise _refusal(partial, advance, problem)
        return partial

    def _bring(self, file: RemoteFile, partial: Partial, advance: Advance) -> None:
        """Ask until all bytes are there, right or wrong."""
        self._patiently(file.url, lambda: self._go_on(file, partial, advance), lambda: partial.length, self.patience)

    def _patiently(self, url: str, ask: Callable[[], T], progress: Callable[[], int], patience: Patience) -> T:
        failures = 0
        while True:
            before = progress()
            try:
                return ask()
            except PassingError as trouble:
                failures = 1 if progress() > before else failures + 1
                if patience.gives_up(failures, trouble):
                    raise _gave_up(url, failures, trouble) from trouble
                patience.sleep(patience.seconds(failures, trouble))
            if self.stopped.is_set():
                raise StoppedError

    def _go_on(self, file: RemoteFile, partial: Partial, advance: Advance) -> None:
        """Ask for what is missing, and take what comes."""
        known = file.size if file.size is not None else partial.promise.size
        checkable = bool(partial.promise.validator or _checksums(file, partial))
        if partial.length and (not checkable or (known is not None and partial.length > known)):
            _start_anew(partial, advance)
        if partial.length and partial.length == known:
            return  # whole already, when something stopped it before it got its name
        headers = {}
        if partial.length:
            headers["Range"] = f"bytes={partial.length}-"
            if partial.promise.validator:
                headers["If-Range"] = partial.promise.validator
        with answer_to(self._client, file.url, headers, pinned=bool(file.sha256)) as response:
            self._take(response, file, partial, advance)

    def _take(self, response: httpx2.Response, file: RemoteFile, partial: Partial, advance: Advance) -> None:
        promise = promise_of(response, file.url)
        if response.status_code != 200 and not _continues(response, promise, partial):
            _start_anew(partial, advance)
            raise PassingError("the server went on with another part or another file than the one begun")
        require_plain(response, file.url, file.path)
        if response.status_code == 200 and partial.length:  # it ignores ranges, or the file is another one by now
            _start_anew(partial, advance)
        if partial.length:  # what the first answer told of the whole file holds on
            partial.resumed = True
            promise = dataclasses.replace(partial.promise, size=promise.size or partial.promise.size)
        size = promise.size
        if file.size is not None and size is not None and size != file.size:
            raise _refusal(partial, advance, f"it has {size:,} bytes, and {file.size:,} are published")
        partial.begin(promise)
        most = size if size is not None else file.size
        with partial.appending() as target:
            for chunk in response.iter_raw():
                if self.stopped.is_set():
                    raise StoppedError
                if most is not None and partial.length + len(chunk) > most:
                    raise _refusal(partial, advance, f"it does not end after the {most:,} bytes that are published")
                partial.append(target, chunk)
                advance(len(chunk))
        if most is not None and partial.length < most:
            raise PassingError(f"it ended after {partial.length:,} of {most:,} bytes")


def _continues(response: httpx2.Response, promise: Promise, partial: Partial) -> bool:
    """Tell whether a partial answer goes on exactly where the bytes at hand end, with the same file."""
    told, before = content_range(response), partial.promise
    if response.status_code != 206 or told is None or told[0] != partial.length:
        return False
    if not partial.length:
        return True
    if before.etag:  # which a partial answer must repeat
        return promise.etag == before.etag
    same_date = not promise.validator or promise.validator == before.validator
    return same_date and (promise.size is None or before.size is None or promise.size == before.size)


def _refusal(partial: Partial, advance: Advance, problem: str) -> DownloadError:
    """Throw away what came, and return the reason."""
    _start_anew(partial, advance)
    return DownloadError(
        f"refused what {partial.promise.url} gives: {problem}",
        hint="The file has been changed or was damaged on the way; nothing was kept.",
    )


def _start_anew(partial: Partial, advance: Advance) -> None:
    advance(-partial.length)
    partial.discard()


def _checksums(file: RemoteFile, partial: Partial) -> dict[str, str]:
    """Return what the file must hash to: as declared, else as its server told."""
    told = {name: getattr(file, name) or getattr(partial.promise, name) for name in ("md5", "sha256")}
    return {name: value for name, value in told.items() if value}


def _problem(file: RemoteFile, partial: Partial) -> str | None:
    if file.size is not None and partial.length != file.size:
        return f"it has {partial.length:,} bytes, and {file.size:,} are published"
    for name, wanted in _checksums(file, partial).items():
        if (measured := getattr(partial, name)) != wanted:
            return f"its {name} is {measured}, and {wanted} is published"
    return None


def _gave_up(url: str, failures: int, trouble: PassingError) -> DownloadError:
    if trouble.retry_after and failures == 1:
        return DownloadError(
            f"cannot fetch {url} now: {trouble}, and asks to be left alone for {trouble.retry_after:,.0f} s",
            hint="Run the same command again after that; what is here is kept.",
        )
    return DownloadError(
        f"cannot fetch {url}: {trouble} ({failures} times in a row)",
        hint="Run the same command again when the connection is better; what is here is kept.",
    )
