"""A server that behaves badly, a downloader that waits for nothing, and a home of the test's own."""

from __future__ import annotations

import pytest
from file_server import serving

from mitozoo.download.patience import Patience
from mitozoo.download.transfer import Downloader


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


@pytest.fixture
def downloader(waits):
    with Downloader(patience=Patience(sleep=waits.append, jitter=lambda: 1.0)) as downloader:
        yield downloader
