"""What is asked of the audit of a dataset, and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.data.audit.picture import contact_sheet

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.data.audit.findings import AuditFinding
    from mitozoo.data.slide import Pixels
    from mitozoo.engine.visible import VisibleDataset


@dataclass(frozen=True)
class AuditRequest:
    """What is asked of an audit.

    Attributes:
        dataset: name of a registered dataset, or a table of cells.
        data: its folder.
        against: another dataset that it is compared with; '' for none.
        against_data: that dataset's folder.
        split: recipe of the folds (see `SplitRecipe`); None: the protocol's.
        domain: the domain that such a split goes by.
        group: 'image' to take each image for a group.
        negatives: 'hard', 'other' or 'all'.
        mpp: microns per pixel of every slide, in place of the dataset's.
        crop_um: side of the window, um; None: the protocol's, or the whole released patch.
    """

    dataset: str
    data: Path | None = None
    against: str = ""
    against_data: Path | None = None
    split: str | None = None
    domain: str = ""
    group: str = ""
    negatives: str = "hard"
    mpp: float | None = None
    crop_um: float | None = None


@dataclass(frozen=True, eq=False)
class DatasetAudit:
    """What an audit found.

    Attributes:
        request: what was asked.
        findings: one for each thing that was, or should have been, looked at.
        facts: plain values: what was looked at.
        datasets: the audited one, and the one it was compared with.
    """

    request: AuditRequest
    findings: tuple[AuditFinding, ...]
    facts: dict[str, Any]
    datasets: tuple[VisibleDataset, ...]

    @property
    def leaks(self) -> int:
        """How many kinds of findings are leaks."""
        return sum(one.severity == "leak" for one in self.findings)

    @property
    def names(self) -> list[str]:
        """The cells' names, the second dataset's behind the first one's."""
        first, *others = self.datasets
        names: list[str] = first.cells.table["cell_id"].tolist()
        return names + [f"{one.cells.spec.name}: {name}" for one in others for name in one.cells.table["cell_id"]]

    def to_json(self) -> dict[str, Any]:
        """Return the audit as plain JSON values."""
        names = self.names
        return self.facts | {"leaks": self.leaks, "findings": [one.to_json(names) for one in self.findings]}

    def draw(self, path: Path) -> int:
        """Write a contact sheet of the examples, PNG, and return how many crops it shows."""
        first = self.datasets[0].cells
        labels = np.concatenate([one.cells.labels for one in self.datasets]).tolist()
        classes = (first.spec.positive_class, first.spec.negative_class)
        return contact_sheet(self.findings, self._read, self.names, labels, classes, path)

    def _read(self, row: int) -> Pixels | None:
        for one in self.datasets:
            if row < len(one.cells):
                return one.read(row)
            row -= len(one.cells)
        return None
