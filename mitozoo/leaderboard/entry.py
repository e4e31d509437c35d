"""What a leaderboard shows of a result document: one entry for each label fraction and perturbation."""

from __future__ import annotations

from dataclasses import dataclass

#: Shown metrics, all from 0 to 1; ranks go by the first.
SHOWN = ("auroc", "within_slide_auroc", "average_precision", "balanced_accuracy", "sensitivity", "specificity", "ece")
METRIC = SHOWN[0]

Interval = tuple[float, float | None, float | None]  # mean, and the ends of its 95 % interval


@dataclass(frozen=True, slots=True)
class Model:
    """What documents say of a model; texts are plain, and '' where nothing is said."""

    name: str
    plugin: str
    version: str
    fingerprint: str
    weights_sha256: str
    embed_dim: int
    pooling: str
    license: str
    gated: bool
    parameters: float | None
    reference: str

    @property
    def key(self) -> tuple[str, str]:
        """Name and plugin; without a plugin a name is anybody's, and the fingerprint tells models apart."""
        return self.name, self.plugin or self.fingerprint


@dataclass(frozen=True, slots=True)
class Dataset:
    """What documents say of a dataset."""

    name: str
    cells: int
    groups: int
    group_level: str
    positive: str
    positive_cells: int
    negative: str
    negative_cells: int
    negatives_origin: str
    domains: str
    tested_on: str
    synthetic: bool
    license: str
    reference: str


@dataclass(frozen=True, slots=True)
class Place:
    """All that must be equal where entries stand in one table.

    Attributes:
        dataset: its name.
        cells_sha256: of its cells, slides, groups and labels.
        negatives: which cells the positive class is told from.
        protocol_hash: of the protocol.
        conditions: of the run, as JSON.
        seen: microns that the models saw, as JSON.
        fraction: of the training labels.
        perturbed: what was done to the test cells; '' where nothing was.
        folds: which outer folds were tested.
    """

    dataset: str
    cells_sha256: str
    negatives: str
    protocol_hash: str
    conditions: str
    seen: str
    fraction: float
    perturbed: str
    folds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a table.

    Attributes:
        sha256: of the result.json.
        file: where it lies, below the folder that was read.
        run_id: of the run.
        created: when it was last added to, by its own word, UTC; '' where nothing tells.
        place: what it may be compared with.
        model: that was tested.
        dataset: that it was tested on.
        protocol: its name with version.
        asked: the conditions in words; '' for a plain run.
        saw: what was seen of a cell, in words.
        metrics: of each of `SHOWN`, or None.
        groups: how many groups the interval rests on.
        seeds: how many.
        control: AUROC and name of the strongest control that sees no image, or None.
        precision: that the model ran in.
        contamination: what pretraining saw.
        marks: to be shown beside the numbers.
        is_control: whether it is a control, and no model to rank.
        leaks: whether cases may lie on both sides of a split.
        unranked: why it has no rank; '' where it may have one.
    """

    sha256: str
    file: str
    run_id: str
    created: str
    place: Place
    model: Model
    dataset: Dataset
    protocol: str
    asked: str
    saw: str
    metrics: tuple[Interval | None, ...]
    groups: int
    seeds: int
    control: tuple[float, str] | None
    precision: str
    contamination: str
    marks: tuple[str, ...]
    is_control: bool
    leaks: bool
    unranked: str

    @property
    def title(self) -> str:
        """Return what all entries of its place have in common, in words."""
        place, tested_on, folds = self.place, self.dataset.tested_on, len(self.place.folds)
        words = {
            self.dataset.name: True,
            self.protocol: True,
            self.asked: True,
            f"tested on {tested_on}": bool(tested_on),
            f"{100 * place.fraction:g} % of labels": place.fraction != 1,
            f"test cells perturbed by {place.perturbed}": bool(place.perturbed),
            f"negatives: {place.negatives}": place.negatives != "hard",
            f"{folds} fold only": folds == 1,
        }
        return ", ".join(part for part, holds in words.items() if part and holds)
