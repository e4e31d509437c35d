"""A real server on this machine whose paths behave as badly as the test says, one act a request."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import threading
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Act = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Plays the act that is next for the path; the last one is played ever after."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        self.close_connection = True
        with self.site.guard:
            path = urllib.parse.unquote(self.path)
            self.site.requests.append((path, self.headers.get("Range", "")))
            acts = self.site.acts.get(path, [status(404)])
            probing = self.headers.get("Range") == "bytes=0-0"  # what asks for a size uses up no act
            act = acts[0] if len(acts) == 1 or probing else acts.pop(0)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            act(self)

    def begin(self, code: int, headers: dict[str, object]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, str(value))
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *args) -> None:
        pass


@dataclass
class Site:
    """What is served, and what was asked for: (path, Range header) of each request."""

    address: str = ""
    acts: dict[str, list[Act]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def play(self, path: str, *acts: Act) -> str:
        """Have a path play these acts, and return its address."""
        self.acts[path] = list(acts)
        return self.address + path

    def serve(self, folder) -> None:
        """Serve every file below a folder under its own path."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.play(f"/{path.relative_to(folder).as_posix()}", whole(path.read_bytes()))


@contextlib.contextmanager
def serving() -> Iterator[Site]:
    """Run a server while the body runs."""
    site = Site()
    handler = type("OwnHandler", (Handler,), {"site": site})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


def etag_of(content: bytes) -> str:
    return f'"{hashlib.sha1(content).hexdigest()[:12]}"'


def whole(
    content: bytes, *, ranges: bool = True, etag: str | None = "", cut_after: int | None = None, **headers
) -> Act:
    """Serve content as a good server does; `cut_after` bytes of the answer the line goes dead."""

    def act(handler: Handler) -> None:
        tag = etag_of(content) if etag == "" else etag
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
        if_range = handler.headers.get("If-Range")
        named = {name.replace("_", "-"): value for name, value in headers.items()} | {"ETag": tag}
        body, code = content, 200
        if ranges and wanted and (if_range is None or if_range == tag):
            first = int(wanted[1])
            last = min(int(wanted[2] or len(content) - 1), len(content) - 1)
            if first >= len(content):
                handler.begin(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": 0})
                return
            body, code = content[first : last + 1], 206
            named["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        handler.begin(code, {"Content-Length": len(body)} | named)
        handler.wfile.write(body if cut_after is None else body[:cut_after])

    return act


def chunked(content: bytes, *, ends: bool = True) -> Act:
    """Serve content without telling its length; without `ends`, the line goes dead before the last chunk."""

    def act(handler: Handler) -> None:
        handler.begin(200, {"Transfer-Encoding": "chunked"})
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(content), content) + (b"0\r\n\r\n" if ends else b""))

    return act


def status(code: int, body: bytes = b"", **headers) -> Act:
    """Answer with a status."""

    def act(handler: Handler) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.begin(code, {"Content-Length": len(body)} | named)
        handler.wfile.write(body)

    return act


def redirect(to: str, code: int = 302) -> Act:
    """Send the client on."""
    return status(code, Location=to)


def claims(length: int, body: bytes) -> Act:
    """State a length that is not the body's."""

    def act(handler: Handler) -> None:
        handler.begin(200, {"Content-Length": length})
        handler.wfile.write(body)

    return act


def hangs_up(handler: Handler) -> None:
    """Close the connection without a word."""
    handler.connection.close()
