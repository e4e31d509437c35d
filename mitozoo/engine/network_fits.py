"""Rows fitted by training a network, or a part of it, on its input patches."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np

from mitozoo.engine.copies import Copies
from mitozoo.engine.log import within
from mitozoo.models.determinism import deterministic
from mitozoo.models.heap import kept_memory
from mitozoo.protocols.fine_tune import fit_network

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mitozoo.data.audit import PixelHashes
    from mitozoo.data.patches import PatchPlan
    from mitozoo.embeddings.patch_store import StoredPatches
    from mitozoo.engine.copies import Perturbed
    from mitozoo.engine.fits import Fit
    from mitozoo.engine.progress import Advance, Progress
    from mitozoo.engine.subject import RegisteredModel
    from mitozoo.protocols.network_training import NetworkTraining, Patches, PatchRows
    from mitozoo.results.conditions import Conditions
    from mitozoo.results.row import ResultRow, Rows
    from mitozoo.results.run_folder import RunFolder


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
        *,
        deterministic: bool = False,
    ) -> None:
        self.protocol, self.subject, self.plan, self.folder = protocol, subject, plan, folder
        self.device, self.precision, self.progress = device, precision, progress
        self.deterministic = deterministic
        self.conditions, self.copies = conditions, Copies(len(plan), perturbed)
        self.labels = plan.cells.labels[self.copies.shown]
        self.groups = plan.cells.groups[self.copies.shown]
        self.patches: PatchRows = np.empty((0, 0, 0, 3), dtype=np.uint8)
        self.computed = 0

    def prepare(self) -> PixelHashes | None:
        """Have all input patches of a network that can be trained."""
        self.protocol.choose(self.subject.load())  # refuses what cannot be trained before any patch is read
        trained, *tested = self.store_patches()
        self.patches = _Stacked([trained, *tested]) if tested else trained
        return trained.pixels

    def store_patches(self) -> list[StoredPatches]:
        """Return all input patches, of the cells and of each perturbation, from the cache where they are there.

        No network is loaded: other protocols, and other models that see the same, share them.
        """
        from mitozoo.embeddings.patch_store import store_patches

        preprocessing, note = self.subject.spec.preprocessing, self.progress.note
        margin = margin_share(self.plan)
        with self.progress.stage("patches") as advance:
            return [
                store_patches(plan, preprocessing, margin_share=margin, on_progress=advance, on_note=note)
                for plan in (self.plan, *(one.plan for one in self.copies.perturbed))
            ]

    def fit(self, fits: Sequence[Fit], advance: Advance) -> Iterator[list[ResultRow]]:
        """Train networks, one after the other."""
        for number, fit in enumerate(fits):

            def on_progress(done: int, total: int, number: int = number) -> None:
                advance(number * total + done, len(fits) * total)

            axes, scored = fit.rows[0].fit, np.concatenate(self.copies.tested(fit.rows, fit.test))
            labels = self.conditions.trained_labels(self.labels, axes.seed)
            # further perturbations of a network that is there
            trained = None if axes in fit.rows else self.folder.read(axes)
            alike = deterministic(self.deterministic, f"model '{self.subject.name}'")
            with within(task=axes.row_id), alike, kept_memory(self.device):
                prediction = fit_network(
                    self.protocol, self.subject.load, self.patches, labels, self.groups, fit.train, scored,
                    seed=axes.seed, device=self.device, precision=self.precision,
                    checkpoint=self.folder.checkpoint(axes), on_progress=on_progress,
                    on_epoch=functools.partial(self.progress.epoch, axes.row_id),
                    weights=None if trained is None else trained[1],
                )  # fmt: skip
            if trained is not None:
                kept = {name: getattr(trained[0], name) for name in ("threshold", "selected", "converged", "flags")}
                prediction = dataclasses.replace(prediction, **kept)
            yield self.copies.rows_of(fit.rows, fit.train, fit.test, prediction)


def margin_share(plan: PatchPlan) -> float:
    """Return how much tissue around its window a stored patch shows, as a share of the window's side."""
    from mitozoo.protocols.augmentation import MARGIN

    return 0.0 if plan.treatments else MARGIN  # stains are normalised within a window, not around it


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
