"""How a protocol's rows are fitted: on frozen embeddings, or by training the network on its input patches."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mitozoo.engine.embed import embed_with
from mitozoo.engine.subject import BroughtEmbeddings, RegisteredModel
from mitozoo.errors import ProtocolError
from mitozoo.protocols.kinds import HEAD_FITS, TRAINING_FITS
from mitozoo.results.row import DONE, Axes, ResultRow, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from mitozoo.data.cells import Cells
    from mitozoo.data.patches import PatchPlan
    from mitozoo.data.splits import Labels
    from mitozoo.embeddings.patch_store import StoredPatches
    from mitozoo.engine.progress import Advance, Progress
    from mitozoo.protocols.fine_tune import NetworkTraining, Patches, PatchRows
    from mitozoo.protocols.prediction import Prediction
    from mitozoo.protocols.spec import Protocol as ProtocolSpec
    from mitozoo.results.conditions import Conditions
    from mitozoo.results.run_folder import RunFolder


class Fitter(Protocol):
    """Whoever makes rows."""

    stage: str
    unit: str
    computed: int
    device: str

    def prepare(self) -> list[str] | None:
        """Get ready whatever all rows share; return a digest of each cell's pixels where they were read."""

    def fit(
        self, rows: Sequence[Axes], train: Rows, test: Rows, number: int, of: int, advance: Advance
    ) -> list[ResultRow]:
        """Make one fit, and the rows of its test cells as they are and as perturbations leave them."""


@dataclass(frozen=True)
class Perturbed:
    """Test cells as one perturbation leaves them.

    Attributes:
        name: of the perturbation.
        rows: (m,) which cells, ascending.
        plan: their windows, in this order.
    """

    name: str
    rows: Rows
    plan: PatchPlan


class _Copies:
    """The perturbed test cells, counted on behind the n cells themselves as rows n, n + 1, and so on."""

    def __init__(self, cells: int, perturbed: Sequence[Perturbed]) -> None:
        self.perturbed = perturbed
        starts = cells + np.cumsum([0, *(len(one.rows) for one in perturbed)])
        self.starts = {one.name: int(start) for one, start in zip(perturbed, starts[:-1], strict=True)}
        #: (n + all copies,) which cell each of them shows
        self.shown = np.concatenate([np.arange(cells), *(one.rows for one in perturbed)])

    def tested(self, rows: Sequence[Axes], test: Rows) -> list[Rows]:
        """Return, for each row of one fit, the places of what it scores."""
        rows_of = {one.name: one.rows for one in self.perturbed}
        return [
            self.starts[axes.perturbed] + np.searchsorted(rows_of[axes.perturbed], test) if axes.perturbed else test
            for axes in rows
        ]

    def rows_of(self, rows: Sequence[Axes], train: Rows, test: Rows, prediction: Prediction) -> list[ResultRow]:
        """Return the rows of one fit, whose scores stand in the order of `tested`."""
        made = []
        for place, axes in enumerate(rows):
            own = dataclasses.replace(
                prediction, test_scores=prediction.test_scores[place * len(test) : (place + 1) * len(test)]
            )
            if axes.perturbed:  # what was chosen is the fit's own, and so is what was fitted
                nothing = np.empty(0)
                own = dataclasses.replace(own, inner_parts=(), validation_scores=nothing, tensors={})
            made.append(_row(axes, train, test, own))
        return made


class _Stacked:
    """Several arrays of patches as if they were one, row behind row; nothing is copied until it is asked for."""

    def __init__(self, arrays: Sequence[StoredPatches]) -> None:
        self.arrays = arrays
        self.starts = np.cumsum([0, *(len(array) for array in arrays[:-1])])

    def __getitem__(self, rows: Rows) -> Patches:
        """Return the patches of these rows, in this order."""
        which = np.searchsorted(self.starts, rows, side="right") - 1
        taken = np.empty((len(rows), *self.arrays[0].shape[1:]), dtype=np.uint8)
        for place in np.unique(which):
            of_array = which == place
            taken[of_array] = self.arrays[place][rows[of_array] - self.starts[place]]
        return taken


class FrozenFitter:
    """Fits heads on embeddings."""

    stage, unit = "probe", "rows"

    def __init__(
        self,
        protocol: ProtocolSpec,
        subject: RegisteredModel | BroughtEmbeddings,
        cells: Cells,
        plan: PatchPlan | None,
        perturbed: Sequence[Perturbed],
        conditions: Conditions,
        device: str,
        precision: str | None,
        batch_size: int | None,
        progress: Progress,
    ) -> None:
        if protocol.kind not in HEAD_FITS:
            raise ProtocolError(f"protocol '{protocol.name}' of kind '{protocol.kind}' cannot be run by this version")
        self.protocol, self.subject, self.cells, self.plan = protocol, subject, cells, plan
        self.device, self.precision, self.progress = device, precision, progress
        self.batch_size = batch_size
        self.conditions, self.copies = conditions, _Copies(len(cells), perturbed)
        self.labels, self.groups = cells.labels[self.copies.shown], cells.groups[self.copies.shown]
        self.embeddings: npt.NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)
        self.computed = 0
        self._fitted: dict[tuple[bytes, ...], Prediction] = {}

    def prepare(self) -> list[str] | None:
        """Have the embeddings of all cells, from the cache where they are there."""
        if isinstance(self.subject, BroughtEmbeddings):
            ids = self.cells.table["cell_id"].tolist()
            self.embeddings = self.subject.table.of(ids, str(self.subject.path))
            return None
        assert self.plan is not None
        assert self.precision is not None
        embedded = embed_with(self.subject, self.plan, self.device, self.precision, self.batch_size, self.progress)
        self.embeddings, self.computed = embedded.vectors, embedded.computed
        for one in self.copies.perturbed:
            more = embed_with(self.subject, one.plan, self.device, self.precision, self.batch_size, self.progress)
            self.embeddings = np.concatenate([self.embeddings, more.vectors])
            self.computed += more.computed
        return embedded.pixels

    def fit(
        self, rows: Sequence[Axes], train: Rows, test: Rows, number: int, of: int, advance: Advance
    ) -> list[ResultRow]:
        """Fit one probe; seeds that drew the same cells share it."""
        scored = np.concatenate(self.copies.tested(rows, test))
        labels = self.conditions.trained_labels(self.labels, rows[0].seed)
        same = (train.tobytes(), scored.tobytes(), labels[train].tobytes())
        if same not in self._fitted:
            self._fitted[same] = self._probe(labels, train, scored)
        advance(number + 1, of)
        return self.copies.rows_of(rows, train, test, self._fitted[same])

    def _probe(self, labels: Labels, train: Rows, test: Rows) -> Prediction:
        device = "cpu" if self.device == "mps" else self.device  # mps knows no double precision
        fit_head = HEAD_FITS[self.protocol.kind]
        return fit_head(self.protocol, self.embeddings, labels, self.groups, train, test, device=device)


class TrainingFitter:
    """Trains a network, or a part of it."""

    stage, unit = "training", "epochs"

    def __init__(
        self,
        protocol: NetworkTraining,
        subject: RegisteredModel,
        plan: PatchPlan,
        perturbed: Sequence[Perturbed],
        conditions: Conditions,
        device: str,
        precision: str,
        folder: RunFolder,
        progress: Progress,
    ) -> None:
        self.protocol, self.subject, self.plan, self.folder = protocol, subject, plan, folder
        self.device, self.precision, self.progress = device, precision, progress
        self.conditions, self.copies = conditions, _Copies(len(plan), perturbed)
        self.labels = plan.cells.labels[self.copies.shown]
        self.groups = plan.cells.groups[self.copies.shown]
        self.patches: PatchRows = np.empty((0, 0, 0, 3), dtype=np.uint8)
        self.computed = 0

    def prepare(self) -> list[str] | None:
        """Have all input patches, from the cache where they are there."""
        from mitozoo.embeddings.patch_store import store_patches
        from mitozoo.protocols.augmentation import MARGIN

        self.protocol.choose(self.subject.load())  # refuses what cannot be trained before any patch is read
        preprocessing, note = self.subject.spec.preprocessing, self.progress.note
        margin = 0.0 if self.plan.treatments else MARGIN  # stains are normalised within a window, not around it
        with self.progress.stage("patches") as advance:
            trained, *tested = [
                store_patches(plan, preprocessing, margin_share=margin, on_progress=advance, on_note=note)
                for plan in (self.plan, *(one.plan for one in self.copies.perturbed))
            ]
        self.patches = _Stacked([trained, *tested]) if tested else trained
        return trained.pixels

    def fit(
        self, rows: Sequence[Axes], train: Rows, test: Rows, number: int, of: int, advance: Advance
    ) -> list[ResultRow]:
        """Train one network."""

        def on_epoch(done: int, total: int) -> None:
            advance(number * total + done, of * total)

        fit, scored = rows[0].fit, np.concatenate(self.copies.tested(rows, test))
        labels = self.conditions.trained_labels(self.labels, fit.seed)
        trained = None if fit in rows else self.folder.read(fit)  # further perturbations of a network that is there
        prediction = TRAINING_FITS[self.protocol.kind](
            self.protocol, self.subject.load, self.patches, labels, self.groups, train, scored, seed=fit.seed,
            device=self.device, precision=self.precision, checkpoint=self.folder.checkpoint(fit), on_progress=on_epoch,
            weights=None if trained is None else trained[1],
        )  # fmt: skip
        if trained is not None:
            kept = {name: getattr(trained[0], name) for name in ("threshold", "selected", "converged", "flags")}
            prediction = dataclasses.replace(prediction, **kept)
        return self.copies.rows_of(rows, train, test, prediction)


def _row(axes: Axes, train: Rows, test: Rows, prediction: Prediction) -> ResultRow:
    return ResultRow(
        axes=axes, status=DONE, train=train, inner_parts=prediction.inner_parts, test=test,
        test_scores=prediction.test_scores, validation_scores=prediction.validation_scores,
        threshold=prediction.threshold, selected=prediction.selected, converged=prediction.converged,
        flags=prediction.flags, tensors=prediction.tensors,
    )  # fmt: skip
