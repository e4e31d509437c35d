"""What a fit scores when groups are drawn again, or left out one by one."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mitozoo.statistics.arrays import codes
from mitozoo.statistics.group_wins import GroupWins
from mitozoo.statistics.metrics import compute

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from mitozoo.statistics.arrays import Codes, Floats
    from mitozoo.statistics.estimates import ScoredRow


def effective_groups(group_sizes: ArrayLike) -> float:
    """Return how many groups of equal size would be as uneven as these: (sum n)^2 / sum n^2."""
    sizes = np.asarray(group_sizes, dtype=float)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def draw_groups(n_groups: int, replicates: int, seed: int) -> NDArray[np.int64]:
    """Return how often each group is drawn in each replicate, (replicates, n_groups), with replacement."""
    drawn = np.random.default_rng(seed).integers(n_groups, size=(replicates, n_groups))
    drawn += np.arange(replicates)[:, None] * n_groups
    return np.bincount(drawn.ravel(), minlength=replicates * n_groups).reshape(replicates, n_groups)


class TestedCells:
    """The run's cell table as codes; groups that no row tests are -1 and never drawn.

    Args:
        rows: all rows of the run.
        labels, groups, slides: (N,) of the cell table.
        domains: name -> (N,) values.
        replicates, seed: of the draws.
        auroc_alone: know no other metric, and be some hundred times faster.
    """

    __test__ = False  # no test case, whatever pytest thinks of its name

    def __init__(
        self,
        rows: Sequence[ScoredRow],
        labels: ArrayLike,
        groups: ArrayLike,
        slides: ArrayLike,
        domains: Mapping[str, ArrayLike],
        replicates: int,
        seed: int,
        *,
        auroc_alone: bool = False,
    ) -> None:
        self.labels, self.slides = np.asarray(labels), codes(slides)
        self.domains = {name: codes(values) for name, values in domains.items()}
        tested = np.unique(np.concatenate([row.cell for row in rows]))
        self.groups = np.full(len(self.labels), -1)
        self.groups[tested] = codes(np.asarray(groups)[tested])
        self.replicates, self.seed = replicates, seed
        self._kind = AurocFit if auroc_alone else Fit
        self._fits: dict[tuple[bytes, bytes, float, float], Fit] = {}
        self._drawn_last: tuple[Codes, Floats] = np.empty(0, dtype=np.intp), np.empty((replicates, 0))

    def fit(self, row: ScoredRow) -> Fit:
        """Return what a row scores; rows with the same cells, scores, threshold and temperature are computed once."""
        same = (row.cell.tobytes(), row.scores.tobytes(), row.threshold, row.temperature)
        if same not in self._fits:
            self._fits[same] = self._kind(self, row)
        return self._fits[same]

    @cached_property
    def draws(self) -> NDArray[np.int64]:
        """(replicates, tested groups): how often each is drawn."""
        return draw_groups(int(self.groups.max()) + 1, self.replicates, self.seed)

    def copies(self, groups: Codes) -> Floats:
        """Return (replicates, len(groups)) how often each of these is drawn; seeds of one fold ask for the same."""
        if not np.array_equal(self._drawn_last[0], groups):
            self._drawn_last = groups, self.draws[:, groups].astype(float)
        return self._drawn_last[1]


class Fit:
    """One set of scored cells: its metrics over all of them, in each draw, and without each of its groups."""

    def __init__(self, table: TestedCells, row: ScoredRow) -> None:
        self._table, self._row = table, row
        self._groups, self._own = np.unique(table.groups[row.cell], return_inverse=True)

    @cached_property
    def values(self) -> dict[str, float]:
        """Each metric over all cells."""
        return {name: float(value[0]) for name, value in self._compute(None).items()}

    @cached_property
    def drawn(self) -> dict[str, Floats]:
        """Each metric in each draw, (replicates,)."""
        return self._compute(self._table.copies(self._groups))

    def without_each(self, groups: Codes) -> dict[str, Floats]:
        """Return each metric without each of these groups, (G,); those that this fit does not test change nothing."""
        place = np.searchsorted(groups, self._groups)
        left_out = {name: np.full(len(groups), self.values[name]) for name in self._left_out}
        for name, values in self._left_out.items():
            left_out[name][place] = values
        return left_out

    @cached_property
    def _left_out(self) -> dict[str, Floats]:
        return self._compute(1 - np.eye(len(self._groups)))

    def _compute(self, weights: ArrayLike | None) -> dict[str, Floats]:
        table, cell = self._table, self._row.cell
        return compute(
            self._row.scores,
            table.labels[cell],
            slides=table.slides[cell],
            threshold=self._row.threshold,
            temperature=self._row.temperature,
            domains={name: values[cell] for name, values in table.domains.items()},
            weights=weights,
            groups=self._own,
        )


class AurocFit(Fit):
    """A fit of which nothing but AUROC is asked."""

    @cached_property
    def _wins(self) -> GroupWins:
        return GroupWins(self._row.scores, self._table.labels[self._row.cell], self._own)

    def _compute(self, weights: ArrayLike | None) -> dict[str, Floats]:
        copies = np.ones((1, len(self._groups))) if weights is None else np.asarray(weights, dtype=float)
        return {"auroc": self._wins.auroc(copies)}
