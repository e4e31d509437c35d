"""Which datasets share images: by what their specs declare, case by case where a crosswalk tells, and with models."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.model_spec import ModelSpec

Contamination = Literal["labels seen", "images or cohort seen", "declared none", "unknown"]
OTHERS = "others"  # among what a model was pretrained on: and more, which its authors do not name
CONTAMINATIONS: tuple[Contamination, ...] = get_args(Contamination)


@dataclass(frozen=True)
class Relatives:
    """Who shares images with whom, among all datasets that are known here. All names in it are `plain`.

    Attributes:
        parents: dataset -> what its images come from: datasets and cohorts.
        tasks: dataset -> its positive class.
        called: name or alias -> the dataset that bears it.
    """

    parents: Mapping[str, tuple[str, ...]]
    tasks: Mapping[str, str]
    called: Mapping[str, str]

    @classmethod
    def among(cls, datasets: Iterable[DatasetSpec]) -> Relatives:
        """Take what specs declare."""
        specs = list(datasets)
        return cls(
            parents={plain(one.name): tuple(map(plain, (*one.derived_from, *one.cohorts))) for one in specs},
            tasks={plain(one.name): one.positive_class for one in specs},
            called={plain(name): plain(one.name) for one in specs for name in (*one.aliases, one.name)},
        )

    def origins(self, name: str, *, leaving_out: str = "") -> frozenset[str]:
        """Return a dataset's or cohort's own plain name, and those of everything that its images come from.

        Args:
            name: of the dataset or cohort.
            leaving_out: a plain name, and what is reached through it alone.
        """
        found: set[str] = set()
        waiting = [self._dataset(name)]
        while waiting:
            one = waiting.pop()
            if one not in found and one != leaving_out:
                found.add(one)
                waiting += map(self._dataset, self.parents.get(one, ()))
        return frozenset(found)

    def common_origins(self, one: str, other: str) -> frozenset[str]:
        """Return what the images of both come from; nothing where they are no relatives."""
        return self.origins(one) & self.origins(other)

    def decisive_origins(self, one: str, other: str) -> frozenset[str]:
        """Return the common origins without those that both reach only through one that they have in common too."""
        common = self.common_origins(one, other)

        def through(middle: str, end: str) -> bool:
            return all(end not in self.origins(start, leaving_out=middle) for start in (one, other))

        return frozenset(end for end in common if not any(through(middle, end) for middle in common - {end}))

    def contamination(self, model: ModelSpec, dataset: str) -> Contamination:
        """Return what a model has seen of a dataset, or of its relatives, as far as specs declare it.

        Labels are seen where it was trained with those of a relative that has the same positive class. Where a list of
        pretraining names `OTHERS`, or no primary source confirms it, what it does not name is unknown.
        """
        trained_on = [one for one in model.trained_on_labels if self.common_origins(one, dataset)]
        if any(self._task(one) in (self._task(dataset), "") for one in trained_on):
            return "labels seen"
        if trained_on or any(self.common_origins(one, dataset) for one in model.pretraining or ()):
            return "images or cohort seen"
        if model.pretraining is None or OTHERS in model.pretraining or "pretraining" in model.unverified:
            return "unknown"
        if model.pretraining and self._dataset(dataset) not in self.tasks:
            return "unknown"  # a table of one's own: its images may be anybody's
        return "declared none"

    def _task(self, name: str) -> str:
        return self.tasks.get(self._dataset(name), "")

    def _dataset(self, name: str) -> str:
        return self.called.get(plain(name), plain(name))


def crosswalks_tell(one: DatasetSpec, other: DatasetSpec, origins: Iterable[str]) -> bool:
    """Tell whether crosswalks say which cases two datasets share, given their common `decisive_origins`."""

    def knows(spec: DatasetSpec, origin: str) -> bool:
        return plain(spec.name) == origin or any(plain(walk.dataset) == origin for walk in spec.crosswalks)

    return all(knows(one, origin) and knows(other, origin) for origin in origins)


def plain(name: str) -> str:
    """Return a dataset's or cohort's name as it is compared: 'MIDOG++', 'midogpp' and 'MIDOG-pp' are one."""
    return re.sub(r"[^a-z0-9]+", "", name.lower().replace("+", "p"))
