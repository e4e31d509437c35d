"""Checkpoints from plain web addresses: bounded, verified before use, whole or not there, or put there by hand."""

from __future__ import annotations

import hashlib
import http.server
import threading
from dataclasses import replace
from typing import ClassVar

import pytest

from mitozoo.errors import ModelError
from mitozoo.models.download import download
from mitozoo.models.weights import locate, model_weights_sha256, weights_sha256
from mitozoo.plugins.model_spec import ModelSpec
from mitozoo.plugins.preprocessing import Preprocessing
from mitozoo.plugins.sources import Checkpoint

CONTENT = b"the weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(monkeypatch, tmp_path):
    """A web server on this machine; paths say how it misbehaves."""
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("MITOZOO_WEIGHTS", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    class Site(http.server.BaseHTTPRequestHandler):
        requests: ClassVar[list[str]] = []
        address: ClassVar[str] = ""

        def do_GET(self) -> None:
            self.requests.append(self.path)
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", f"{self.address}/net.pth")
                self.end_headers()
                return
            self.send_response(404 if self.path == "/absent" else 200)
            if self.path != "/endless":
                self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[: 100 if self.path == "/cut" else None])

        def log_message(self, *args) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    Site.address = f"http://127.0.0.1:{server.server_port}"
    yield Site
    server.shutdown()
    server.server_close()


def checkpoint(url: str, **fields) -> Checkpoint:
    given = {
        "architecture": "timm:test_vit", "kwargs": {}, "repo": "", "revision": None, "filename": "net.pth", "url": url,
        "sha256": SHA256, "entry": "", "strip_prefix": "", "rename": {}, "drop": (),
    }  # fmt: skip
    return Checkpoint(**given | fields)


def test_a_file_is_fetched_once_and_then_found(site, tmp_path):
    source = checkpoint(f"{site.address}/moved")
    path = locate(source)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(tmp_path / "home" / "weights")
    assert locate(source) == path
    assert site.requests == ["/moved", "/net.pth"]
    assert weights_sha256(source) == SHA256


def test_files_of_one_name_from_two_addresses_stay_apart(site):
    assert locate(checkpoint(f"{site.address}/a")) != locate(checkpoint(f"{site.address}/b"))


def test_another_file_than_the_declared_one_is_never_kept(site, tmp_path):
    with pytest.raises(ModelError, match=f"its sha256 is {SHA256}, but the model declares {'0' * 64}"):
        locate(checkpoint(f"{site.address}/net.pth", sha256="0" * 64))
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file() and "weights" in path.parts]


@pytest.mark.parametrize(
    ("path", "reason"),
    [("absent", "HTTP Error 404"), ("cut", r"ended after 100 of 11,000 bytes")],
)
def test_a_failed_download_is_one_sentence_and_says_where_to_put_the_file(site, tmp_path, path, reason):
    with pytest.raises(ModelError, match=reason) as caught:
        locate(checkpoint(f"{site.address}/{path}"))
    assert "put the file at DIR/net.pth and set MITOZOO_WEIGHTS=DIR" in caught.value.hint
    assert not list((tmp_path / "home" / "weights").rglob("*.pth"))


@pytest.mark.parametrize(("path", "reason"), [("net.pth", "it has 11,000 bytes"), ("endless", "does not end after")])
def test_a_file_that_is_too_large_is_given_up(site, tmp_path, path, reason):
    with pytest.raises(ModelError, match=reason):
        download(f"{site.address}/{path}", tmp_path / "net.pth", sha256=SHA256, max_bytes=10_000)
    assert not (tmp_path / "net.pth").exists()


def test_nobody_listens_or_nobody_may_ask(site, tmp_path, monkeypatch):
    with pytest.raises(ModelError, match=r"cannot fetch http://127\.0\.0\.1:9/x"):
        download("http://127.0.0.1:9/x", tmp_path / "x", sha256=SHA256)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="offline mode is on"):
        locate(checkpoint(f"{site.address}/net.pth"))
    assert not site.requests


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "ftp://127.0.0.1/x", "file:///etc/hostname"])
def test_what_is_pinned_by_nothing_must_come_by_https(tmp_path, url):
    with pytest.raises(ModelError, match="refused"):
        download(url, tmp_path / "x", sha256=None)


def test_a_file_put_there_by_hand_comes_first(site, tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "net.pth").write_bytes(CONTENT)
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(tmp_path / "own"))
    assert locate(checkpoint(f"{site.address}/net.pth")) == tmp_path / "own" / "net.pth"
    assert locate(checkpoint("")) == tmp_path / "own" / "net.pth"
    assert not site.requests


def test_where_no_program_can_fetch_the_file_the_page_is_named(site):
    spec = ModelSpec(
        name="by-hand", load=checkpoint(""), embed_dim=64, pooling="cls", prefix_tokens=1, precision="fp32",
        license="unknown", reference="https://example.org/the-authors-page",
        preprocessing=Preprocessing(
            size=32, resize="none", resize_to=32, interpolation="bilinear", antialias=True, mean=(0.5,) * 3,
            std=(0.5,) * 3, mpp=None, mpp_basis="none",
        ),
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"model 'by-hand': net\.pth has no address") as caught:
        model_weights_sha256(spec)
    assert "put it at DIR/net.pth and set MITOZOO_WEIGHTS=DIR" in caught.value.hint
    assert "https://example.org/the-authors-page" in caught.value.hint


def test_a_file_given_by_hand_replaces_any_place(site, tmp_path):
    own = tmp_path / "downloaded.pth"
    own.write_bytes(CONTENT)
    assert weights_sha256(checkpoint(""), file=own) == SHA256
    assert weights_sha256(replace(checkpoint(""), sha256=None), file=own) == SHA256
    own.write_bytes(b"tuned by the user")
    with pytest.raises(ModelError, match="the model declares") as caught:
        weights_sha256(checkpoint(""), file=own)
    assert "Weights of your own are another model" in caught.value.hint
    with pytest.raises(ModelError, match=r"there is no weight file .*nowhere"):
        weights_sha256(checkpoint(""), file=tmp_path / "nowhere")


def test_a_load_functions_weights_are_known_only_where_it_names_them(tmp_path):
    assert weights_sha256(fixed) == "function"
    with pytest.raises(ModelError, match="--weights cannot replace them"):
        weights_sha256(fixed, file=tmp_path)
    own = tmp_path / "net.pth"
    own.write_bytes(CONTENT)
    fixed.weights = str(own)
    try:
        assert weights_sha256(fixed) == SHA256
        own.unlink()
        with pytest.raises(ModelError, match="there is no weight file"):
            weights_sha256(fixed)
    finally:
        del fixed.weights


def fixed() -> None:
    """Stand for a plugin's load function."""
