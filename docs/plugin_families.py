"""The distributions in plugins/, what each of them offers, and the extra of mitozoo that installs it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mitozoo.plugins.registry import load_registry

if TYPE_CHECKING:
    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.trackers import TrackerSpec

PLUGINS = Path(__file__).resolve().parent.parent / "plugins"
#: Collections of natural images. Who saw nothing else is a baseline that every pathology encoder should beat.
NATURAL_IMAGES = {"imagenet-1k", "imagenet-21k", "imagenet-22k", "lvd-142m", "lvd-1689m", "wit-400m"}


@dataclass(frozen=True)
class Family:
    """One distribution of this repository and what it offers, both sorted by name."""

    distribution: str
    description: str
    models: tuple[ModelSpec, ...]
    datasets: tuple[DatasetSpec, ...]
    trackers: tuple[TrackerSpec, ...] = ()

    @property
    def extra(self) -> str:
        """The extra of mitozoo that installs it."""
        if self.trackers:
            return "trackers"
        if self.datasets and not self.models:
            return "datasets"
        if self.models and all(spec.controls_only or _saw_only_natural_images(spec) for spec in self.models):
            return "baselines"
        return "foundation"


def families() -> list[Family]:
    """Return every plugin in plugins/, sorted by name; others that happen to be installed are left out."""
    registry = load_registry()
    working = {row.distribution: row for row in registry.rows if row.works}
    found = []
    for file in sorted(PLUGINS.glob("*/pyproject.toml")):
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        name = project["name"]
        if name not in working:
            raise click.ClickException(
                f"{name} is not installed, or does not work; run `make setup`, `mitozoo plugins`"
            )
        models = tuple(one.spec for one in registry.models if one.plugin == name)
        datasets = tuple(one.spec for one in registry.datasets if one.plugin == name)
        trackers = tuple(one.spec for one in registry.trackers if one.plugin == name)
        found.append(Family(name, re.sub(r",? for mitozoo\b", "", project["description"]), models, datasets, trackers))
    return found


def _saw_only_natural_images(spec: ModelSpec) -> bool:
    return bool(spec.pretraining) and {name.lower() for name in spec.pretraining or ()} <= NATURAL_IMAGES
