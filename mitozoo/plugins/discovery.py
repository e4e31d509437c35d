"""Which plugins are installed, told from the metadata of their distributions alone: nothing of theirs is imported."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Version of the contract between mitozoo and its plugins. It stands in the entry-point group's name, `mitozoo.v1`.
CONTRACT = 1
_GROUP = re.compile(r"mitozoo\.v(\d+)")
_NO_NAME = "(unnamed distribution)"


@dataclass(frozen=True)
class InstalledPlugin:
    """One entry point of an installed distribution.

    Attributes:
        name: the entry point's name, such as 'virchow'.
        distribution: normalised name of its distribution, such as 'mitozoo-plugin-virchow'.
        version: of the distribution.
        contract: version of the contract that it was written for.
        entry_point: what to import; None where the metadata cannot be read.
        requirements: the distribution's own requirements, as written.
        error: why the metadata cannot be read.
    """

    name: str
    distribution: str
    version: str
    contract: int
    entry_point: importlib.metadata.EntryPoint | None
    requirements: tuple[str, ...] = ()
    error: Exception | None = None


def normalise(name: str) -> str:
    """Return a distribution's name as package indexes compare it: lower-case, runs of '-', '_' and '.' as one '-'."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def installed_plugins() -> list[InstalledPlugin]:
    """Return the entry points of every group `mitozoo.v<N>`, sorted by distribution and name.

    A distribution found twice on `sys.path` counts once: the first is the one that an import would find.
    """
    names: set[str] = set()
    found: list[InstalledPlugin] = []
    for distribution in importlib.metadata.distributions():
        name = _NO_NAME
        try:
            stated = distribution.read_text("entry_points.txt") or ""
            if "mitozoo.v" not in stated:
                continue
            metadata = distribution.metadata  # parsed anew at each access
            name = normalise(metadata["Name"])
            if name in names:
                continue
            names.add(name)
            first = importlib.metadata.distribution(name)
            if first.read_text("entry_points.txt") != stated:  # it lies behind a copy that offers something else
                metadata = first.metadata
            found.extend(_plugins_of(name, first, metadata))
        except Exception as error:  # noqa: BLE001 (metadata is foreign input, and one broken folder hurts nobody else)
            found.append(_unreadable(name, error))
    return sorted(found, key=lambda plugin: (plugin.distribution, plugin.name, plugin.contract))


def _plugins_of(
    name: str, distribution: importlib.metadata.Distribution, metadata: importlib.metadata.PackageMetadata
) -> Iterator[InstalledPlugin]:
    """Yield one plugin for each entry-point name: the one for this contract, where a distribution serves several."""
    version, requirements = metadata["Version"], tuple(metadata.get_all("Requires-Dist") or ())
    by_name: dict[str, InstalledPlugin] = {}
    for entry_point in distribution.entry_points:
        if group := _GROUP.fullmatch(entry_point.group):
            contract = int(group[1])
            plugin = InstalledPlugin(entry_point.name, name, version, contract, entry_point, requirements)
            if contract == CONTRACT or entry_point.name not in by_name:
                by_name[entry_point.name] = plugin
    yield from by_name.values()


def _unreadable(name: str, error: Exception) -> InstalledPlugin:
    return InstalledPlugin(name.removeprefix("mitozoo-plugin-"), name, "", CONTRACT, None, error=error)
