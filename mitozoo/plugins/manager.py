"""Loading one plugin after another, so that a broken one hurts nobody: it becomes a row that says what went wrong."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import pluggy

from mitozoo.errors import PluginError
from mitozoo.plugins import hooks
from mitozoo.plugins.dataset_spec import DatasetSpec
from mitozoo.plugins.discovery import CONTRACT, InstalledPlugin, normalise
from mitozoo.plugins.guard import guarded, time_allowed
from mitozoo.plugins.model_spec import ModelSpec
from mitozoo.plugins.rows import PluginFault, PluginRow, UnknownHook, diagnose
from mitozoo.plugins.trackers import TrackerSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mitozoo.plugins.rows import Stage, Status

ALLOW_VARIABLE, DENY_VARIABLE, STRICT_VARIABLE = "MITOZOO_PLUGINS", "MITOZOO_DISABLE_PLUGINS", "MITOZOO_STRICT"
HOOKS = ("mitozoo_models", "mitozoo_datasets", "mitozoo_trackers")
KNOWN_HOOKS = f"the hooks are {', '.join(f'{name}()' for name in HOOKS[:-1])} and {HOOKS[-1]}()"

AnySpec = TypeVar("AnySpec", ModelSpec, DatasetSpec, TrackerSpec)


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin's row, and what it offers where that worked."""

    row: PluginRow
    models: tuple[ModelSpec, ...] = ()
    datasets: tuple[DatasetSpec, ...] = ()
    trackers: tuple[TrackerSpec, ...] = ()


class PluginHost:
    """Takes plugins in, one by one, as the environment's variables wished when it was made."""

    def __init__(self) -> None:
        self._hooks = pluggy.PluginManager(hooks.PROJECT)
        self._hooks.add_hookspecs(hooks)
        self._allowed, self._denied = _names_in(ALLOW_VARIABLE), _names_in(DENY_VARIABLE)
        self._strict = os.environ.get(STRICT_VARIABLE, "0") not in ("", "0")
        self._seconds = time_allowed()
        self._offered: set[tuple[str, str, str]] = set()  # distribution, kind of record, name

    def load(self, plugin: InstalledPlugin) -> LoadedPlugin:
        """Return what the plugin offers, or why it offers nothing; then nothing of it stays.

        Raises:
            PluginError: it cannot be used, and `MITOZOO_STRICT` is set.
        """
        row = PluginRow(name=plugin.name, distribution=plugin.distribution, version=plugin.version)
        declined = self._decline(plugin, row)
        loaded = LoadedPlugin(declined) if declined else self._take_in(plugin, row)
        row = loaded.row
        if self._strict and not row.works and row.status != "disabled":
            hint = f"{STRICT_VARIABLE} is set, so this stops everything. {row.remedy()}"
            raise PluginError(row.sentence(), hint=hint) from row.error
        return loaded

    def _decline(self, plugin: InstalledPlugin, row: PluginRow) -> PluginRow | None:
        """Settle what needs no import: the user's wishes, and the contract's version."""
        names = {normalise(plugin.name), plugin.distribution}
        if self._denied & names:
            return replace(row, status="disabled", reason=f"{DENY_VARIABLE} names it")
        if self._allowed and not self._allowed & names:
            return replace(row, status="disabled", reason=f"{ALLOW_VARIABLE} does not name it")
        if plugin.error is not None:
            reason = f"its metadata cannot be read: {diagnose(plugin.error, ())[1]}"
            return replace(row, status="broken", reason=reason, error=plugin.error)
        if plugin.contract != CONTRACT:
            status: Status = "needs a newer mitozoo" if plugin.contract > CONTRACT else "needs an older mitozoo"
            reason = f"{status}: it keeps to contract v{plugin.contract}, this one to v{CONTRACT}"
            return replace(row, status=status, reason=reason)
        return None

    def _take_in(self, plugin: InstalledPlugin, row: PluginRow) -> LoadedPlugin:
        assert plugin.entry_point is not None
        name, label = f"{plugin.distribution}/{plugin.name}", f"{plugin.distribution} {plugin.version}"
        stage: Stage = "import"
        had_torch = "torch" in sys.modules
        began = time.perf_counter()
        try:
            with guarded(plugin.name, label, "importing", self._seconds):
                module = plugin.entry_point.load()
            with guarded(plugin.name, label, "listing what it offers", self._seconds):
                stage = "register"
                self._register(module, name)
                stage = "collect"
                models = self._collect(module, "mitozoo_models", ModelSpec)
                datasets = self._collect(module, "mitozoo_datasets", DatasetSpec)
                trackers = self._collect(module, "mitozoo_trackers", TrackerSpec)
                self._claim(plugin, (*models, *datasets, *trackers))
        except KeyboardInterrupt:
            self._roll_back(name)
            raise
        except BaseException as error:  # noqa: BLE001 (sys.exit, a timeout, a panic in foreign code: none stops the host)
            self._roll_back(name)
            status, reason = diagnose(error, plugin.requirements)
            seconds = time.perf_counter() - began
            return LoadedPlugin(replace(row, status=status, stage=stage, reason=reason, seconds=seconds, error=error))
        slow = _holds_torch(module) or ("torch" in sys.modules and not had_torch)
        row = replace(
            row, stage="done", seconds=time.perf_counter() - began, slow=slow,
            notes=("imports torch at import",) if slow else (),
            models=tuple(spec.name for spec in models), datasets=tuple(spec.name for spec in datasets),
            trackers=tuple(spec.name for spec in trackers),
        )  # fmt: skip
        return LoadedPlugin(row, models, datasets, trackers)

    def _register(self, module: object, name: str) -> None:
        """Let pluggy check the hooks' arguments; refuse what it lets pass in silence."""
        if (other := self._hooks.get_name(module)) is not None:
            raise PluginFault(f"its entry point leads to the same object as that of {other}")
        try:
            self._hooks.register(module, name)
        except pluggy.PluginValidationError as error:
            raise UnknownHook(f"{' '.join(str(error).split())}; {KNOWN_HOOKS}") from error
        implemented = {caller.name for caller in self._hooks.get_hookcallers(module) or ()}
        if unknown := sorted(implemented.difference(HOOKS)):
            raise UnknownHook(f"there is no hook '{unknown[0]}'; {KNOWN_HOOKS}")
        for hook in HOOKS:
            if hook not in implemented and callable(getattr(module, hook, None)):
                raise PluginFault(f"{hook}() is not marked with @hookimpl of mitozoo")
        if not implemented:
            raise PluginFault(f"it implements no hook; {KNOWN_HOOKS}")

    def _roll_back(self, name: str) -> None:
        if self._hooks.has_plugin(name):
            self._hooks.unregister(name=name)

    def _collect(self, module: object, hook: str, kind: type[AnySpec]) -> tuple[AnySpec, ...]:
        found: dict[str, AnySpec] = {}
        for implementation in getattr(self._hooks.hook, hook).get_hookimpls():
            if implementation.plugin is module:
                for spec in _records(implementation.function, hook, kind):
                    if spec.name in found:
                        raise PluginFault(f"{hook}() offers the name '{spec.name}' twice")
                    found[spec.name] = spec
        return tuple(found.values())

    def _claim(self, plugin: InstalledPlugin, specs: Iterable[ModelSpec | DatasetSpec | TrackerSpec]) -> None:
        claims = {(plugin.distribution, type(spec).__name__, spec.name) for spec in specs}
        if taken := sorted(name for _, _, name in claims & self._offered):
            raise PluginFault(f"it offers the name '{taken[0]}', as another entry point of its distribution does")
        self._offered |= claims


def _records(function: Callable[[], object], hook: str, kind: type[AnySpec]) -> Iterator[AnySpec]:
    """Yield what a hook returns, as long as that is what a hook must return."""
    returned = function()
    wanted = f"it must return an iterable of {kind.__name__} records, such as [SPEC]"
    if isinstance(returned, str | bytes | Mapping) or not isinstance(returned, Iterable):
        described = "None" if returned is None else f"one {type(returned).__name__}"
        raise PluginFault(f"{hook}() returned {described}; {wanted}")
    for number, item in enumerate(returned, start=1):
        if not isinstance(item, kind):
            raise PluginFault(f"item {number} of what {hook}() returned is of type {type(item).__name__}; {wanted}")
        yield item


def _holds_torch(module: object) -> bool:
    """Tell whether a plugin's module imported torch for itself, though another had imported it before."""
    values = vars(module).values() if isinstance(module, ModuleType) else ()
    return any(isinstance(value, ModuleType) and value.__name__.partition(".")[0] == "torch" for value in values)


def _names_in(variable: str) -> frozenset[str]:
    return frozenset(normalise(name) for name in os.environ.get(variable, "").split(",") if name.strip())
