"""A server on this machine that speaks the hub's protocol, so that the real client is tested without a network."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from huggingface_hub import constants

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class LocalHub:
    """What the server offers, and what it was asked for.

    Attributes:
        folder: holds ORGANISATION/NAME/FILE.
        gated: repositories that answer as the hub does without access.
        down: answer everything with a server error.
        requests: 'METHOD PATH' of each request.
    """

    folder: Path
    address: str = ""
    gated: set[str] = field(default_factory=set)
    down: bool = False
    requests: list[str] = field(default_factory=list)

    def put(self, repo: str, filename: str, content: bytes) -> str:
        """Publish a file and return its sha256."""
        path = self.folder / repo / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body for a path."""
        parts = path.split("?")[0].strip("/").split("/")
        if self.down:
            return 503, {}, b""
        listing = parts[:2] == ["api", "models"]
        repo = "/".join(parts[2:4] if listing else parts[:2])
        if repo in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        root = self.folder / repo
        if not root.is_dir():
            return 401, {"X-Error-Code": "RepoNotFound"}, b""
        if listing:
            files = [{"rfilename": str(file.relative_to(root))} for file in sorted(root.rglob("*")) if file.is_file()]
            body = json.dumps({"id": repo, "sha": COMMIT, "siblings": files, "private": False}).encode()
            return 200, {"Content-Type": "application/json"}, body
        if parts[3] not in (COMMIT, "main"):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        file = root / "/".join(parts[4:])
        if not file.is_file():
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        body = file.read_bytes()
        return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(body).hexdigest()}"'}, body


@contextlib.contextmanager
def serving(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the server, point the real client at it, and yield what it offers."""
    hub = LocalHub(folder / "served")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._send(with_body=False)

        def do_GET(self) -> None:
            self._send(with_body=True)

        def _send(self, *, with_body: bool) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *args) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
