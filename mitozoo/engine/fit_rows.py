"""Fitting the rows that a run misses: who makes them, on which drawn cells; what cannot be fitted is skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo.data.splits import NotEnoughLabels
from mitozoo.engine.fits import Fit
from mitozoo.engine.log import tell
from mitozoo.engine.subject import RegisteredModel
from mitozoo.protocols.fine_tune import NetworkTraining
from mitozoo.results.row import SKIPPED, Axes, ResultRow
from mitozoo.results.scoring import labelled_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.engine.evaluate import Evaluation
    from mitozoo.engine.fits import Fitter


def fitter_of(run: Evaluation) -> Fitter:
    """Return who makes the rows of a run: by training its network, or on frozen embeddings."""
    deterministic = run.request.deterministic
    if isinstance(run.protocol, NetworkTraining):
        from mitozoo.engine.network_fits import TrainingFitter

        assert isinstance(run.subject, RegisteredModel)
        assert run.plan is not None
        assert run.precision is not None
        return TrainingFitter(
            run.protocol, run.subject, run.plan, run.perturbed(), run.conditions, run.device, run.precision, run.folder,
            run.progress, deterministic=deterministic,
        )  # fmt: skip
    from mitozoo.engine.head_fits import FrozenFitter

    return FrozenFitter(
        run.protocol, run.subject, run.cells, run.plan, run.perturbed(), run.conditions, run.device, run.precision,
        run.request.batch_size, run.progress, deterministic=deterministic,
    )  # fmt: skip


def fit_rows(run: Evaluation, missing: Sequence[Axes], fitter: Fitter) -> None:
    """Make rows and append each to the run as soon as it is there."""
    by_fit: dict[Axes, list[Axes]] = {}
    for axes in missing:
        by_fit.setdefault(axes.fit, []).append(axes)
    fits = []
    for fit, rows in by_fit.items():
        fold = run.folds[fit.fold]
        try:
            train = labelled_rows(run.columns, fold.train, fit, run.protocol.fraction_of)
        except NotEnoughLabels as reason:
            for axes in rows:
                run.folder.write_row(ResultRow(axes, SKIPPED, str(reason)))
                tell("row", f"{axes.row_id} skipped: {reason}", row=axes.row_id, status=SKIPPED)
        else:
            fits.append(Fit(rows, train, fold.test))
    with run.progress.stage(fitter.stage, fitter.unit) as advance:
        for made in fitter.fit(fits, advance):
            for row in made:
                run.folder.write_row(row)
                tell("row", f"{row.axes.row_id} done", row=row.axes.row_id, status=row.status)
