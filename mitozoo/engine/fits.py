"""What is fitted, and what every way of fitting a protocol's rows has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mitozoo.data.audit import PixelHashes
    from mitozoo.engine.progress import Advance
    from mitozoo.results.row import Axes, ResultRow, Rows


@dataclass(frozen=True, eq=False)
class Fit:
    """One thing to fit.

    Attributes:
        rows: what is scored with it: the test cells as they are, and as perturbations leave them.
        train: (n,) drawn training rows.
        test: (m,) test rows.
    """

    rows: Sequence[Axes]
    train: Rows
    test: Rows


class Fitter(Protocol):
    """Whoever makes rows."""

    stage: str
    unit: str
    computed: int
    device: str

    def prepare(self) -> PixelHashes | None:
        """Get ready whatever all rows share; return a digest of each cell's pixels where they were read."""

    def fit(self, fits: Sequence[Fit], advance: Advance) -> Iterator[list[ResultRow]]:
        """Make all fits, and yield each one's rows as soon as it is made, in any order."""
