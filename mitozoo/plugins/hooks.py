"""The three hooks of the contract. A plugin implements any, returns records, and is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.trackers import TrackerSpec

PROJECT = "mitozoo"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def mitozoo_models() -> Iterable[ModelSpec]:
    """Offer encoders: return one `ModelSpec` for each."""
    raise NotImplementedError  # only plugins implement it


@hookspec
def mitozoo_datasets() -> Iterable[DatasetSpec]:
    """Offer datasets: return one `DatasetSpec` for each."""
    raise NotImplementedError  # only plugins implement it


@hookspec
def mitozoo_trackers() -> Iterable[TrackerSpec]:
    """Offer trackers: return one `TrackerSpec` for each."""
    raise NotImplementedError  # only plugins implement it
