"""Whose name is it: what each short name and alias of one kind of record stands for."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from mitozoo.plugins.manager import AnySpec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mitozoo.plugins.rows import PluginRow


@dataclass(frozen=True)
class Registered(Generic[AnySpec]):
    """A model, dataset or tracker, and who offers it.

    Attributes:
        spec: the plugin's record.
        plugin: normalised name of the distribution.
        version: of the distribution.
        qualified_name: 'distribution/name'; it always works.
        short_name_works: whether no other distribution offers the short name; not known, and so False, where it was
            asked for by its qualified name, since then no other plugin is imported.
    """

    spec: AnySpec
    plugin: str
    version: str
    qualified_name: str
    short_name_works: bool

    @property
    def shown_name(self) -> str:
        """The shortest name that works."""
        return self.spec.name if self.short_name_works else self.qualified_name


class NameTable(Generic[AnySpec]):
    """All names of one kind. Nobody steals one: a name beats an alias, and what two claim goes to neither.

    Attributes:
        registered: everything offered, sorted by name.
        claims: short name or alias -> whoever claims it.
        notes: qualified name -> what its plugin's author or user should know.
    """

    def __init__(self, offers: Iterable[tuple[PluginRow, AnySpec]]) -> None:
        offers = list(offers)
        owners = Counter(spec.name for _, spec in offers)
        self.registered: list[Registered[AnySpec]] = [
            Registered(spec, row.distribution, row.version, f"{row.distribution}/{spec.name}", owners[spec.name] == 1)
            for row, spec in sorted(offers, key=lambda offer: (offer[1].name, offer[0].distribution))
        ]
        self.claims: defaultdict[str, list[Registered[AnySpec]]] = defaultdict(list)
        self.notes: defaultdict[str, list[str]] = defaultdict(list)
        for one in self.registered:
            self.claims[one.spec.name].append(one)
        for one in self.registered:
            for alias in dict.fromkeys(one.spec.aliases):
                if alias not in owners:
                    self.claims[alias].append(one)
                elif alias != one.spec.name:
                    owner = self.claims[alias][0].qualified_name
                    self.notes[one.qualified_name].append(f"alias '{alias}' is dropped: it is the name of {owner}")
        for name, claimants in self.claims.items():
            for one in claimants if len(claimants) > 1 else ():
                others = " and ".join(other.qualified_name for other in claimants if other is not one)
                self.notes[one.qualified_name].append(
                    f"'{name}' works only as {one.plugin}/{name}: {others} claims it too"
                )

    def all_names(self) -> set[str]:
        """Everything that a person can type."""
        return {*self.claims, *(one.qualified_name for one in self.registered)}
