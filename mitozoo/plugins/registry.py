"""The registry: every model, dataset and tracker of every installed plugin, found by name."""

from __future__ import annotations

import dataclasses
import functools
import threading
from typing import TYPE_CHECKING, Any

from mitozoo.errors import PluginError
from mitozoo.plugins.discovery import installed_plugins, normalise
from mitozoo.plugins.manager import PluginHost
from mitozoo.plugins.names import NameTable
from mitozoo.plugins.suggestions import ambiguous_name, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mitozoo.errors import UnknownNameError
    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.manager import AnySpec, LoadedPlugin
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.names import Registered
    from mitozoo.plugins.rows import PluginRow
    from mitozoo.plugins.trackers import TrackerSpec


@functools.cache
def load_registry() -> Registry:
    """Return this process's registry; a plugin is imported when the registry first needs to know what it offers."""
    return Registry()


def reset_registry() -> None:
    """Forget the registry: the next `load_registry` looks at the environment anew."""
    load_registry.cache_clear()


class Registry:
    """Every installed plugin, and what they offer."""

    def __init__(self) -> None:
        self._installed = installed_plugins()
        self._host = PluginHost()
        self._loaded: dict[int, LoadedPlugin] = {}  # by position in the list of installed plugins
        self._lock = threading.RLock()
        self._loading = False

    @property
    def models(self) -> list[Registered[ModelSpec]]:
        """Every model, sorted by name."""
        return self._models().registered

    @property
    def datasets(self) -> list[Registered[DatasetSpec]]:
        """Every dataset, sorted by name."""
        return self._datasets().registered

    @property
    def trackers(self) -> list[Registered[TrackerSpec]]:
        """Every tracker, sorted by name."""
        return self._trackers().registered

    @property
    def rows(self) -> list[PluginRow]:
        """What became of every installed plugin, sorted by distribution and name."""
        tables: dict[str, NameTable[Any]] = {
            "models": self._models(), "datasets": self._datasets(), "trackers": self._trackers(),
        }  # fmt: skip
        noted = {kind: table.notes for kind, table in tables.items()}
        rows = []
        for row in (plugin.row for plugin in self._load()):
            notes = [
                text
                for kind, by_name in noted.items()
                for name in getattr(row, kind)
                for text in by_name.get(f"{row.distribution}/{name}", ())
            ]
            rows.append(dataclasses.replace(row, notes=(*row.notes, *notes)))
        return rows

    def model(self, name: str) -> Registered[ModelSpec]:
        """Return the model of that name, alias or qualified name; the latter imports its own distribution alone.

        Raises:
            UnknownNameError: no plugin offers it, its plugin cannot be used, or several claim the name.
        """
        if found := self.find_model(name):
            return found
        raise self.unknown(name, "model")

    def dataset(self, name: str) -> Registered[DatasetSpec]:
        """Return the dataset of that name, as `model` does."""
        if found := self.find_dataset(name):
            return found
        raise self.unknown(name, "dataset")

    def tracker(self, name: str) -> Registered[TrackerSpec]:
        """Return the tracker of that name, as `model` does."""
        if found := self._find(name, self._trackers):
            return found
        raise self.unknown(name, "tracker")

    def find_model(self, name: str) -> Registered[ModelSpec] | None:
        """Return the model of that name, if any. Raises `UnknownNameError` only where several plugins claim it."""
        return self._find(name, self._models)

    def find_dataset(self, name: str) -> Registered[DatasetSpec] | None:
        """Return the dataset of that name, if any. Raises `UnknownNameError` only where several plugins claim it."""
        return self._find(name, self._datasets)

    def unknown(self, name: str, *kinds: str, further: Iterable[str] = ()) -> UnknownNameError:
        """Return the error for a name that is nothing of these kinds.

        Args:
            name: what was asked for.
            kinds: such as 'model', 'dataset' and 'tracker'.
            further: names of things that no plugin offers.
        """
        tables: dict[str, NameTable[Any]] = {
            "model": self._models(), "dataset": self._datasets(), "tracker": self._trackers(),
        }  # fmt: skip
        names = {known for kind in kinds if kind in tables for known in tables[kind].all_names()}
        others = [kind for kind in tables if kind not in kinds and name in tables[kind].claims]
        return unknown_name(name, kinds, names.union(further), self.rows, others)

    def _find(self, name: str, offered: Callable[[str | None], NameTable[AnySpec]]) -> Registered[AnySpec] | None:
        distribution, slash, short = name.rpartition("/")
        claimants = offered(normalise(distribution) if slash else None).claims.get(short, ())
        if len(claimants) > 1:
            raise ambiguous_name(name, [one.qualified_name for one in claimants])
        for one in claimants:
            return dataclasses.replace(one, short_name_works=False) if slash else one
        return None

    def _models(self, distribution: str | None = None) -> NameTable[ModelSpec]:
        return NameTable((plugin.row, spec) for plugin in self._load(distribution) for spec in plugin.models)

    def _datasets(self, distribution: str | None = None) -> NameTable[DatasetSpec]:
        return NameTable((plugin.row, spec) for plugin in self._load(distribution) for spec in plugin.datasets)

    def _trackers(self, distribution: str | None = None) -> NameTable[TrackerSpec]:
        return NameTable((plugin.row, spec) for plugin in self._load(distribution) for spec in plugin.trackers)

    def _load(self, distribution: str | None = None) -> list[LoadedPlugin]:
        """Import what was not imported yet: the plugins of one distribution, or all."""
        with self._lock:
            if self._loading:
                raise PluginError("a plugin asks for the registry while it is being imported; it must do so later")
            self._loading = True
            try:
                wanted = [n for n, one in enumerate(self._installed) if distribution in (None, one.distribution)]
                for number in wanted:
                    if number not in self._loaded:
                        self._loaded[number] = self._host.load(self._installed[number])
                return [self._loaded[number] for number in wanted]
            finally:
                self._loading = False
