"""Which cases two datasets share, told from their names."""

from __future__ import annotations

import re

from mitozoo.errors import SpecError
from mitozoo.plugins.record import Record, record


@record
class Crosswalk(Record):
    """Which cases of an older dataset are cases of this one, told from their names.

    A name is that of a case where a dataset is grouped by case, else of a slide. Both patterns match a name whole and
    have a group (?P<key>...); equal keys are one case, and '007' equals '7'.

    Attributes:
        dataset: the older dataset, one of `derived_from`.
        ours: pattern of the names here that come from there; a name that no crosswalk of a dataset knows is refused.
        theirs: pattern of every name there.
        renumbered: (first key there, last key there, first key here) of each run of whole numbers that are cases of
            both; empty: every key is its own.
    """

    dataset: str
    ours: str = r"(?P<key>.+)"
    theirs: str = r"(?P<key>.+)"
    renumbered: tuple[tuple[int, int, int], ...] = ()

    def validate(self) -> None:
        """Refuse a pattern without a key, or a run that ends before it begins."""
        for pattern in (self.ours, self.theirs):
            try:
                groups = re.compile(pattern).groupindex
            except re.error as error:
                raise SpecError(f"Crosswalk pattern '{pattern}' is not a regular expression: {error}") from error
            if "key" not in groups:
                raise SpecError(f"Crosswalk pattern '{pattern}' has no group (?P<key>...)")
        for run in self.renumbered:
            if len(run) != 3 or not all(isinstance(number, int) for number in run) or run[0] > run[1]:
                raise SpecError(f"Crosswalk.renumbered: {run!r} is not (first there, last there, first here)")

    def their_key(self, name: str) -> str | None:
        """Return the key of a name of the older dataset, None where the pattern does not match."""
        return _key(self.theirs, name)

    def knows(self, name: str) -> bool:
        """Tell whether a name here is one that comes from there, as far as its pattern says."""
        return _key(self.ours, name) is not None

    def key_there(self, name: str) -> str | None:
        """Return the key that a name here has in the older dataset, None where it is no case of it."""
        key = _key(self.ours, name)
        if key is None or not self.renumbered:
            return key
        if key.isdecimal():
            for first, last, here in self.renumbered:
                if here <= int(key) <= here + last - first:
                    return str(int(key) - here + first)
        return None


def _key(pattern: str, name: str) -> str | None:
    match = re.fullmatch(pattern, name)
    if match is None:
        return None
    key = match["key"]
    return str(int(key)) if key.isdecimal() else key
