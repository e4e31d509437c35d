"""Fixtures of all tests: an isolated home, the shared real data, and plugins that are really installed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tiny_distributions import Tiny, install

from mitozoo.plugins.registry import reset_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[1]
WISHES = (
    "MITOZOO_PLUGINS", "MITOZOO_DISABLE_PLUGINS", "MITOZOO_STRICT", "MITOZOO_IMPORT_TIMEOUT", "MITOZOO_TRACEBACK",
    "MITOZOO_SHARED_CACHE", "MITOZOO_LOG", "MITOZOO_PROMETHEUS",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let modules with slow tests begin, in any order, so that at the end no worker waits for another's."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of the shared real data, or skip."""
    folder = Path(os.environ.get("MITOZOO_SHARED") or REPOSITORY.parent / "shared" / "data").resolve()
    if not folder.is_dir():
        pytest.skip(f"the shared real data are not in {folder}; point MITOZOO_SHARED to them")
    return folder


@pytest.fixture(scope="session", autouse=True)
def isolated_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep all tests away from the user's caches and wishes; one home, so that what is costly is made once."""
    home = Path(os.environ.get("MITOZOO_TEST_HOME") or tmp_path_factory.mktemp("mitozoo-home"))
    if "PYTEST_XDIST_WORKER" in os.environ and not (home / "datasets").exists():  # drawn by one worker for all
        drawn = tmp_path_factory.getbasetemp().parent / "datasets"
        drawn.mkdir(exist_ok=True)
        (home / "datasets").symlink_to(drawn)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MITOZOO_HOME", str(home))
        for variable in WISHES:
            environment.delenv(variable, raising=False)
        yield home


@pytest.fixture
def fresh_registry() -> Iterator[None]:
    """Forget the registry before and after the test."""
    reset_registry()
    yield
    reset_registry()


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that really installs tiny distributions into a new folder and returns it."""

    def into_new_folder(*distributions: Tiny) -> Path:
        return install(tmp_path_factory.mktemp("site"), *distributions)

    return into_new_folder
