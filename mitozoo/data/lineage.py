"""Cases that two datasets share, so that nothing trained on one is tested on the same tissue in the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mitozoo.errors import SplitError
from mitozoo.plugins.lineage import Relatives, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.data.cells import Cells
    from mitozoo.plugins.crosswalk import Crosswalk
    from mitozoo.plugins.dataset_spec import DatasetSpec

Pair = tuple[str, str]


class UnknownSharedCasesError(SplitError):
    """Two datasets are related, and nothing tells which cases they share."""


def remove_shared_cases(train: Cells, test: Cells, relations: Sequence[DatasetSpec]) -> tuple[Cells, int]:
    """Return the training cells without the cases that the test dataset holds too, and how many cells were removed.

    Args:
        train: cells of the dataset that is trained on.
        test: cells of the dataset that is tested on; the same dataset shares every case with itself.
        relations: specs of all datasets that are known here, whose declarations tell who comes from where.

    Raises:
        SplitError: the datasets are related and no crosswalk tells which cases they share, or no case is left.
    """
    shared = {one for one, _ in shared_cases(train, test, relations)}
    kept = ~train.table[train.spec.group].isin(shared).to_numpy(dtype=bool)
    if not kept.any():
        raise SplitError(
            f"every case of dataset '{train.spec.name}' is one of dataset '{test.spec.name}' too, so that nothing is "
            "left to train on"
        )
    return (train if kept.all() else train.take(kept)), int(np.sum(~kept))


def shared_cases(one: Cells, other: Cells, relations: Sequence[DatasetSpec]) -> list[Pair]:
    """Return the pairs of names, one of each dataset, that are the same case; a slide where no cases are known.

    Raises:
        SplitError: the datasets are related and no crosswalk tells which cases they share.
    """
    pairs: set[Pair] = set()
    relatives = Relatives.among([*relations, one.spec, other.spec])
    for origin in sorted(relatives.decisive_origins(one.spec.name, other.spec.name)):
        found = _keys(one, other, origin), _keys(other, one, origin)
        if found[0] is None or found[1] is None:
            silent = one if found[0] is None else other
            raise UnknownSharedCasesError(
                f"datasets '{one.spec.name}' and '{other.spec.name}' share images of '{origin}', and no crosswalk "
                f"tells which cases of '{silent.spec.name}' those are",
                hint="Take a dataset that is no relative: mitozoo info NAME tells what each is derived from.",
            )
        names_of: dict[str, list[str]] = {}
        for name, key in found[1].items():
            names_of.setdefault(key, []).append(name)
        pairs |= {(name, twin) for name, key in found[0].items() for twin in names_of.get(key, ())}
    return sorted(pairs)


def _keys(cells: Cells, other: Cells, origin: str) -> dict[str, str] | None:
    """Return the key, among the cases of `origin`, of each case that comes from there; None where nothing tells it."""
    spec, names = cells.spec, _names(cells)
    if plain(spec.name) == origin:
        crosswalk = _crosswalk(other.spec, origin)
        if crosswalk is None:  # both are that dataset, or the other one is silent, which its own keys will tell
            return {name: name for name in names}
        keys = {name: crosswalk.their_key(name) for name in names}
        if strange := [name for name, key in keys.items() if key is None]:
            raise _strange(spec, strange, f"the crosswalk of dataset '{other.spec.name}' does not know")
    else:
        crosswalk = _crosswalk(spec, origin)
        if crosswalk is None:
            return None
        if strange := [name for name in names if not any(one.knows(name) for one in spec.crosswalks)]:
            raise _strange(spec, strange, "no crosswalk of it knows")
        keys = {name: crosswalk.key_there(name) for name in names}
    return {name: key for name, key in keys.items() if key is not None}


def _names(cells: Cells) -> list[str]:
    """Return the names that crosswalks are about, whatever the cells are grouped by today."""
    return [str(name) for name in cells.table[cells.spec.group].unique()]


def _crosswalk(spec: DatasetSpec, origin: str) -> Crosswalk | None:
    return next((one for one in spec.crosswalks if plain(one.dataset) == origin), None)


def _strange(spec: DatasetSpec, names: Sequence[str], whom: str) -> SplitError:
    return SplitError(
        f"{len(names)} {spec.group}s of dataset '{spec.name}' have names that {whom}, such as "
        f"'{names[0]}': which cases are shared cannot be told",
        hint="Its files may have been renamed.",
    )
