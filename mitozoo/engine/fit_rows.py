"""Fitting the rows that a run misses: who makes them, on which drawn cells; what cannot be fitted is skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo.data.splits import NotEnoughLabels
from mitozoo.engine.fits import Fit
from mitozoo.engine.log import tell
from mitozoo.engine.subject import RegisteredModel
from mitozoo.protocols.network_training import NetworkTraining
from mitozoo.results.row import SKIPPED, Axes, ResultRow
from mitozoo.results.scoring import labelled_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.engine.fits import Fitter
    from mitozoo.engine.progress import Progress
    from mitozoo.engine.question import Question
    from mitozoo.results.run_folder import RunFolder


def fitter_of(asked: Question, folder: RunFolder, progress: Progress) -> Fitter:
    """Return who makes the rows of a run: by training its network, or on frozen embeddings."""
    deterministic = asked.request.deterministic
    if isinstance(asked.protocol, NetworkTraining):
        from mitozoo.engine.network_fits import TrainingFitter

        assert isinstance(asked.subject, RegisteredModel)
        assert asked.plan is not None
        assert asked.precision is not None
        return TrainingFitter(
            asked.protocol, asked.subject, asked.plan, asked.perturbed(), asked.conditions, asked.device,
            asked.precision, folder, progress, deterministic=deterministic,
        )  # fmt: skip
    from mitozoo.engine.head_fits import FrozenFitter

    return FrozenFitter(
        asked.protocol, asked.subject, asked.cells, asked.plan, asked.perturbed(), asked.conditions, asked.device,
        asked.precision, asked.request.batch_size, progress, deterministic=deterministic,
    )  # fmt: skip


def fit_rows(asked: Question, missing: Sequence[Axes], fitter: Fitter, folder: RunFolder, progress: Progress) -> None:
    """Make rows and append each to the run's folder as soon as it is there."""
    by_fit: dict[Axes, list[Axes]] = {}
    for axes in missing:
        by_fit.setdefault(axes.fit, []).append(axes)
    fits, cells = [], asked.cells
    for fit, rows in by_fit.items():
        fold = asked.folds[fit.fold]
        try:
            train = labelled_rows(cells.labels, cells.group_codes, fold.train, fit, asked.protocol.fraction_of)
        except NotEnoughLabels as reason:
            for axes in rows:
                folder.write_row(ResultRow(axes, SKIPPED, str(reason)))
                tell("row", f"{axes.row_id} skipped: {reason}", row=axes.row_id, status=SKIPPED)
        else:
            fits.append(Fit(rows, train, fold.test))
    with progress.stage(fitter.stage, fitter.unit) as advance:
        for made in fitter.fit(fits, advance):
            for row in made:
                folder.write_row(row)
                tell("row", f"{row.axes.row_id} done", row=row.axes.row_id, status=row.status)
