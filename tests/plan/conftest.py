"""The tiny zoo, a plugin full of faults, and plans over them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tiny_distributions import Tiny, install
from tiny_plans import FAULTY, TinyPlan
from tiny_zoo import CODE, own_home, zoo, zoo_site

from mitozoo.data.folder import select_data_folder
from mitozoo.plugins.registry import load_registry, reset_registry

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["own_home", "zoo", "zoo_site"]


@pytest.fixture(scope="session")
def faulty_site(tmp_path_factory) -> Path:
    """Return the folder with both plugins."""
    return install(tmp_path_factory.mktemp("faulty-site"), Tiny("mitozoo-plugin-tinyzoo", CODE), FAULTY)


@pytest.fixture
def new_plan(faulty_site, zoo, tmp_path):
    """Return a function that makes a plan in a folder of its own."""

    def make(name: str = "plan", **stated) -> TinyPlan:
        return TinyPlan(tmp_path / name, faulty_site, zoo, **stated)

    return make


@pytest.fixture(scope="package")
def undisturbed(faulty_site, zoo_site, isolated_home, tmp_path_factory):
    """Return a plan of some thirty tasks that nothing happened to, and how long it took."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(zoo_site)
        patch.setenv("MITOZOO_PLUGINS", "tinyzoo")
        reset_registry()
        data = select_data_folder(load_registry().dataset("tiny").spec, None)
    reset_registry()
    folder = tmp_path_factory.mktemp("plans") / "undisturbed"
    further = "folds = 2\nseeds = 3\nfractions = [0.5, 1]"
    plan = TinyPlan(folder, faulty_site, data, models=("steady",), further=further)
    began = time.monotonic()
    told = plan.run()
    assert sum(counts.get("done", 0) for counts in told["tasks"].values()) >= 20
    return plan, time.monotonic() - began
