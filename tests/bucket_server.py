"""A real S3 server on this machine, and a line to it that can be cut after so many bytes."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import uuid
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Line:
    """Carries bytes to the server and back, until it has carried so many towards it: then it is dead until mended.

    Attributes:
        carried: bytes that went towards the server since the line was made or mended.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server, self._guard = (host, port), threading.Lock()
        self._cut_after: int | None = None
        self._ends: set[socket.socket] = set()
        self.carried = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, count: int) -> None:
        """Let the line go dead, in the middle of whatever is under way, after so many more bytes to the server."""
        with self._guard:
            self.carried, self._cut_after = 0, count

    def mend(self) -> bool:
        """Have the line carry everything again, and tell whether it had been cut."""
        with self._guard:
            was_cut = self._cut_after is not None and self.carried >= self._cut_after
            self.carried, self._cut_after = 0, None
        return was_cut

    def close(self) -> None:
        self._listening.close()
        self._hang_up()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if self._allowed(0) is None:
                    near.close()
                    continue
                far = socket.create_connection(self._server)
                with self._guard:
                    self._ends |= {near, far}
                for source, sink, counted in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._carry, args=(source, sink, counted), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while received := source.recv(1 << 16):
                allowed = self._allowed(len(received)) if counted else len(received)
                sink.sendall(received[: allowed or 0])
                if allowed != len(received):
                    self._hang_up()
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _allowed(self, count: int) -> int | None:
        """Return how many of so many bytes may still pass; None on a dead line."""
        with self._guard:
            left = count if self._cut_after is None else min(count, self._cut_after - self.carried)
            self.carried += max(0, left)
            return None if self._cut_after is not None and self.carried >= self._cut_after else left

    def _hang_up(self) -> None:
        with self._guard:
            ends, self._ends = self._ends, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="session")
def s3_line() -> Iterator[Line]:
    """Run moto's server; return the line to it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    line = Line(*server.get_host_and_port())
    yield line
    line.close()
    server.stop()


@pytest.fixture
def bucket(s3_line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URL of a new, empty bucket, and have the whole process reach S3 there alone."""
    import s3fs

    settings = {
        "AWS_ENDPOINT_URL": s3_line.address, "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing-secret",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1", "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)  # a cut line stays cut
    s3fs.S3FileSystem.clear_instance_cache()  # which would reach another test module's server
    name = f"mitozoo-{uuid.uuid4().hex[:12]}"
    s3fs.S3FileSystem().mkdir(name)
    yield f"s3://{name}"
    s3_line.mend()
