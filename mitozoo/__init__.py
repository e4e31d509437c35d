"""mitozoo: a plugin-based model zoo and benchmark for mitotic-figure classification in histopathology."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mitozoo.engine.evaluate import evaluate
    from mitozoo.errors import DataError, MitozooError
    from mitozoo.plugins.crosswalk import Crosswalk
    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.formats import (
        CellTable,
        CoordinateTables,
        MidogJson,
        MppByDomain,
        PatchFolder,
        QuPathGeoJson,
        SlideNames,
        SlideRunnerDatabase,
        SlideTable,
    )
    from mitozoo.plugins.hooks import hookimpl
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.preprocessing import Preprocessing
    from mitozoo.plugins.remote_files import RemoteFile, RemoteFolder
    from mitozoo.plugins.sources import Checkpoint, OpenClipHub, PackagedWeights, TimmHub, TransformersHub
    from mitozoo.plugins.trackers import TrackedRun, Tracker, TrackerSpec

    __version__: str

__all__ = [
    "CellTable",
    "Checkpoint",
    "CoordinateTables",
    "Crosswalk",
    "DataError",
    "DatasetSpec",
    "MidogJson",
    "MitozooError",
    "ModelSpec",
    "MppByDomain",
    "OpenClipHub",
    "PackagedWeights",
    "PatchFolder",
    "Preprocessing",
    "QuPathGeoJson",
    "RemoteFile",
    "RemoteFolder",
    "SlideNames",
    "SlideRunnerDatabase",
    "SlideTable",
    "TimmHub",
    "TrackedRun",
    "Tracker",
    "TrackerSpec",
    "TransformersHub",
    "evaluate",
    "hookimpl",
]

#: Where each public name lives; it is imported when it is first used, so that `import mitozoo` costs nothing.
_HOMES = {
    "CellTable": "mitozoo.plugins.formats",
    "CoordinateTables": "mitozoo.plugins.formats",
    "MidogJson": "mitozoo.plugins.formats",
    "PatchFolder": "mitozoo.plugins.formats",
    "QuPathGeoJson": "mitozoo.plugins.formats",
    "SlideTable": "mitozoo.plugins.formats",
    "TrackedRun": "mitozoo.plugins.trackers",
    "Tracker": "mitozoo.plugins.trackers",
    "TrackerSpec": "mitozoo.plugins.trackers",
    "Crosswalk": "mitozoo.plugins.crosswalk",
    "DataError": "mitozoo.errors",
    "DatasetSpec": "mitozoo.plugins.dataset_spec",
    "MitozooError": "mitozoo.errors",
    "ModelSpec": "mitozoo.plugins.model_spec",
    "MppByDomain": "mitozoo.plugins.formats",
    "PackagedWeights": "mitozoo.plugins.sources",
    "Preprocessing": "mitozoo.plugins.preprocessing",
    "RemoteFile": "mitozoo.plugins.remote_files",
    "RemoteFolder": "mitozoo.plugins.remote_files",
    "SlideNames": "mitozoo.plugins.formats",
    "SlideRunnerDatabase": "mitozoo.plugins.formats",
    "TimmHub": "mitozoo.plugins.sources",
    "TransformersHub": "mitozoo.plugins.sources",
    "OpenClipHub": "mitozoo.plugins.sources",
    "Checkpoint": "mitozoo.plugins.sources",
    "evaluate": "mitozoo.engine.evaluate",
    "hookimpl": "mitozoo.plugins.hooks",
}


if not TYPE_CHECKING:  # else a type checker would take every misspelt name for an object

    def __getattr__(name: str) -> object:
        import importlib
        import sys

        this = sys.modules[__name__]
        if name == "__version__":
            from importlib.metadata import version

            value = version("mitozoo")
        elif name in _HOMES:
            value = getattr(importlib.import_module(_HOMES[name]), name)
        else:
            raise AttributeError(f"module 'mitozoo' has no attribute '{name}'", name=name, obj=this)
        setattr(this, name, value)  # the next use finds it at once
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
