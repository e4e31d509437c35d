"""The server gives a site's files to this machine, and nothing else to anybody."""

from __future__ import annotations

import http.client
import threading

import pytest
from made_results import document, write

from mitozoo.errors import DataError, StorageError
from mitozoo.leaderboard.serving import server_of
from mitozoo.leaderboard.site import build_site


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    root = tmp_path_factory.mktemp("served")
    write(root / "runs" / "one", document())
    build_site(root / "runs", root / "site")
    (root / "secret.html").write_text("secret")
    with server_of(root / "site", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def answer(server, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest("GET", path, skip_host=True)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body, response


def test_pages_are_served_to_this_machine_alone(served):
    assert served.server_address[0] == "127.0.0.1"
    status, body, response = answer(served, "/")
    assert status == 200
    assert b"mitozoo leaderboard" in body
    assert response.getheader("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize("path", [
    "/../secret.html", "/%2e%2e/secret.html", "/boards/../../secret.html", "//../secret.html", "/boards/",
    "/nothing.html",
])  # fmt: skip
def test_nothing_else_is_served_and_no_folder_listed(path, served):
    status, body, _ = answer(served, path)
    assert status == 404
    assert b"secret</" not in body
    assert body != b"secret"


def test_a_port_that_is_taken_is_told(served, tmp_path):
    write(tmp_path / "runs" / "one", document())
    build_site(tmp_path / "runs", tmp_path / "site")
    with pytest.raises(StorageError, match=f"port {served.server_port} cannot be used") as refusal:
        server_of(tmp_path / "site", served.server_port)
    assert refusal.value.hint == "Name another one, or any: --port 0"


def test_a_folder_that_is_no_site_is_told(tmp_path):
    with pytest.raises(DataError, match="is no leaderboard"):
        server_of(tmp_path, 0)
