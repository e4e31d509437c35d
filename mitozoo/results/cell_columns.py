"""What scoring needs to know of the cells, as plain columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mitozoo.results.conditions import Conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

DOMAIN_PREFIX = "domain_"


@dataclass(frozen=True)
class CellColumns:
    """What scoring needs to know of the cells, each (n,), in the order of `cells.parquet`.

    Attributes:
        labels: 0 or 1.
        groups, slides: as numbers 0, 1, ... in the order of their names.
        domains: of each domain, its values, short texts.
        negative_kinds: '' for positives.
        conditions: under which the cells were used.
        group_names, slide_names: for messages, what the numbers stand for.
    """

    labels: npt.NDArray[np.int8]
    groups: npt.NDArray[np.int64]
    slides: npt.NDArray[np.int64]
    domains: dict[str, npt.NDArray[np.str_]]
    negative_kinds: npt.NDArray[np.str_]
    conditions: Conditions = Conditions()  # noqa: RUF009 - frozen
    group_names: Sequence[str] = ()
    slide_names: Sequence[str] = ()

    def trained_labels(self, seed: int) -> npt.NDArray[np.int8]:
        """Return (n,) the labels as training and validation saw them."""
        return self.conditions.trained_labels(self.labels, seed)

    @classmethod
    def of(cls, table: pd.DataFrame, conditions: Conditions) -> CellColumns:
        """Take the columns of a cell table, and under which conditions they were used."""
        import pandas as pd  # here, since whoever prints a stored result imports this module and needs no table

        names = [name for name in table.columns if name.startswith(DOMAIN_PREFIX)]
        (groups, group_names), (slides, slide_names) = (
            pd.factorize(table[name].astype("str"), sort=True, use_na_sentinel=False) for name in ("group", "slide")
        )
        return cls(
            labels=table["label"].to_numpy(dtype=np.int8),
            groups=groups,
            slides=slides,
            negative_kinds=table["negative_kind"].to_numpy(dtype=np.str_),
            domains={name.removeprefix(DOMAIN_PREFIX): table[name].to_numpy(dtype=np.str_) for name in names},
            conditions=conditions,
            group_names=group_names.tolist(),
            slide_names=slide_names.tolist(),
        )
