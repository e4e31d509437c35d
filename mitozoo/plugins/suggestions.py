"""What to say about a name that stands for nothing, or for too much."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from mitozoo.errors import UnknownNameError
from mitozoo.plugins.discovery import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mitozoo.plugins.rows import PluginRow

MOST = 3  # names or plugins that one message lists
LISTS = {"tracker": "mitozoo plugins"}  # of what has no list of its own


def ambiguous_name(name: str, qualified_names: Sequence[str]) -> UnknownNameError:
    """Return the error for a name that several plugins claim."""
    hint = f"Say which: {' or '.join(qualified_names)}"
    return UnknownNameError(f"'{name}' is offered by {len(qualified_names)} plugins", hint=hint)


def unknown_name(
    asked: str, kinds: Sequence[str], names: Iterable[str], rows: Sequence[PluginRow], others: Sequence[str] = ()
) -> UnknownNameError:
    """Return the error for a name that nothing bears: what was likely meant, and what to type next.

    Args:
        asked: the name.
        kinds: what it should have been, such as 'model'.
        names: every name that works.
        rows: every installed plugin; one that cannot be used may be the one that offers it.
        others: kinds that do have something of that name.
    """
    words = " or ".join(filter(None, (", ".join(kinds[:-1]), kinds[-1])))
    lists = f"See them all: {', '.join(dict.fromkeys(LISTS.get(kind, f'mitozoo {kind}s') for kind in kinds))}"
    if others:
        return UnknownNameError(f"'{asked}' is a {others[0]}, not a {words}", hint=lists)
    names = set(names)
    useless = {word: row for row in reversed(rows) if not row.works for word in row.names if word not in names}
    near = _nearest(asked, names.union(useless))
    if near[:1] and near[0] in useless:
        suspects = [useless[near[0]]]
    elif near or "/" in asked:
        suspects = []
    else:  # nothing is like it: any plugin that cannot be used may be the one
        suspects = [row for row in rows if not row.works]
    if not suspects:
        meant = " or ".join(f"'{name}'" for name in near if name in names)
        hint = f"Did you mean {meant}? {lists}" if meant else lists
        if not (rows or meant):
            hint = "No plugin is installed. Try: pip install mitozoo-plugin-imagenet mitozoo-plugin-demo"
        return UnknownNameError(f"there is no {words} '{asked}'", hint=hint)
    told = "; ".join(row.sentence() for row in suspects[:MOST])
    if len(suspects) > MOST:
        told += f"; and {len(suspects) - MOST} more"
    hint = suspects[0].remedy() if len(suspects) == 1 else f"See what works: mitozoo plugins. {lists}"
    return UnknownNameError(f"'{asked}' is not available: {told}", hint=hint)


def _nearest(asked: str, names: Iterable[str]) -> list[str]:
    """Return the names most like the one asked for, best first; its own plugin's name before all."""
    distribution, slash, short = asked.lower().rpartition("/")
    if slash:
        names = [name for name in names if "/" in name or name == normalise(distribution)]
    by_lower = {name.lower(): name for name in names}
    exact = [by_lower[word] for word in (asked.lower(), normalise(short), normalise(distribution)) if word in by_lower]
    near = difflib.get_close_matches(asked.lower(), by_lower, n=MOST)
    return list(dict.fromkeys([*exact, *(by_lower[name] for name in near)]))[:MOST]
