"""A server that behaves badly, a downloader that waits for nothing, and a home of the test's own."""

from __future__ import annotations

import pytest
from file_server import serving
from served_dataset import get, spec

from mitozoo.download.answers import new_client
from mitozoo.download.patience import Patience
from mitozoo.download.transfer import Downloader

__all__ = ["get", "spec"]


@pytest.fixture
def site(monkeypatch, tmp_path):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as site:
        yield site


@pytest.fixture
def waits() -> list[float]:
    """The seconds that the downloader would have waited."""
    return []


@pytest.fixture(scope="session")
def client():
    """One for all tests: to read the machine's certificates takes a while."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NO_PROXY", "127.0.0.1")
        with new_client(16) as client:
            yield client


@pytest.fixture
def downloader(waits, client):
    return Downloader(patience=Patience(sleep=waits.append, jitter=lambda: 1.0), client=client)
