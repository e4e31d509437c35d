"""Look at a site through a server of this machine's own, which nobody else can reach."""

from __future__ import annotations

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from mitozoo.errors import DataError, StorageError
from mitozoo.leaderboard.site import MARKER

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = "127.0.0.1"


class _Quiet(SimpleHTTPRequestHandler):
    """Serves the files of one folder, lists none, and tells nobody what was asked for."""

    def list_directory(self, path: object) -> None:  # noqa: ARG002
        self.send_error(404)

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


def server_of(site: Path, port: int) -> ThreadingHTTPServer:
    """Return a server of a site, bound to the loopback address alone; `serve_forever` starts it.

    Args:
        site: a folder that `mitozoo leaderboard build` wrote.
        port: 0: any that is free.

    Raises:
        DataError: the folder is no such site.
        StorageError: the port is taken.
    """
    if not (site / MARKER).is_file():
        raise DataError(f"{site} is no leaderboard", hint=f"Build one: mitozoo leaderboard build RUNS -o {site}")
    try:
        return ThreadingHTTPServer((LOOPBACK, port), functools.partial(_Quiet, directory=str(site.absolute())))
    except OSError as error:
        raise StorageError(
            f"port {port} cannot be used: {error.strerror or error}", hint="Name another one, or any: --port 0"
        ) from error
