"""Fixtures of the model tests: folders of their own, and a hub on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from local_hub import LocalHub, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def local_hub(tmp_path, monkeypatch) -> Iterator[LocalHub]:
    """A hub on this machine; caches and the user's own folder of weights are the test's own."""
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MITOZOO_WEIGHTS", raising=False)
    monkeypatch.delenv("MITOZOO_TRUST_REMOTE_CODE", raising=False)
    with serving(tmp_path, monkeypatch) as hub:
        yield hub
