"""One evaluation, from names to a finished run: the whole way of the data in one place."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.data.audit import audit_split, require_no_leak
from mitozoo.data.splits import Fold, NotEnoughLabels, draw, outer_folds
from mitozoo.engine.document import compute_record, result_document
from mitozoo.engine.fits import Fitter, FrozenFitter, TrainingFitter
from mitozoo.engine.progress import Progress
from mitozoo.engine.request import Request
from mitozoo.engine.seen import see
from mitozoo.engine.subject import BroughtEmbeddings, RegisteredModel
from mitozoo.errors import ProtocolError
from mitozoo.plugins.registry import load_registry
from mitozoo.protocols.fine_tune import EndToEnd
from mitozoo.protocols.presets import find_protocol
from mitozoo.protocols.spec import override
from mitozoo.results.result import Result
from mitozoo.results.row import SKIPPED, Axes, ResultRow
from mitozoo.results.run_folder import RESULT, RunFolder, run_id
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS, cell_table, prediction_table, split_table, write_table
from mitozoo.storage import content_id

if TYPE_CHECKING:
    from mitozoo.plugins.names import Registered
    from mitozoo.plugins.specs import DatasetSpec
    from mitozoo.protocols.spec import Protocol


def evaluate(
    model: str | None = None, dataset: str = "demo", *, progress: Progress | None = None, **asked: Any
) -> Result:
    """Evaluate a model on a dataset by a protocol and return the result, computing only what is not there yet.

    Args:
        model: name of a registered model; None with `embeddings`.
        dataset: name of a registered dataset.
        progress: listens to what happens.
        **asked: any further attribute of `Request`.

    Raises:
        MitozooError: the input is not right; the message says what, where, why, and what to do next.
    """
    request = Request(model=model, dataset=dataset, **asked)
    return _Evaluation(request, progress or Progress()).run()


class _Evaluation:
    """One request on its way; each step leaves behind what the next one needs."""

    def __init__(self, request: Request, progress: Progress) -> None:
        self.request, self.progress = request, progress
        self.protocol: Protocol = override(find_protocol(request.protocol), request.settings)
        self.subject = self._subject()
        self.dataset: Registered[DatasetSpec] = load_registry().dataset(request.dataset)

    def run(self) -> Result:
        with self.progress.stage("cells"):
            self.cells, self.plan = see(
                self.dataset.spec, self.request, self.subject, self.protocol, self.request.settings
            )
            self.folds = self._folds()
            require_no_leak(self._audit(pixels=None))
        self.device, self.precision = self._device()
        identity = self._identity()
        folder = RunFolder(self.request.out / self._folder_name(run_id(identity)))
        wanted = self._wanted()
        with folder.locked():
            missing = [axes for axes in wanted if not folder.has(axes)]
            stored = folder.result()
            if stored is not None and not missing and _is_up_to_date(stored, folder):
                return Result(stored, folder.path)
            fitter = self._fitter(folder)
            pixels = fitter.prepare()
            self._fit(missing, fitter, folder)
            with self.progress.stage("metrics and intervals", "rows"):
                document = self._document(identity, folder, pixels)
            folder.append_compute(compute_record(self.request, fitter, self.progress))
            folder.write_json(RESULT, document)
            folder.clean()
        return Result(document, folder.path)

    def _subject(self) -> RegisteredModel | BroughtEmbeddings:
        if self.request.model is not None:
            return RegisteredModel(load_registry().model(self.request.model))
        from mitozoo.embeddings.table import read_embeddings

        assert self.request.embeddings is not None
        if isinstance(self.protocol, EndToEnd):
            raise ProtocolError(
                f"protocol '{self.protocol.name}' trains the network, and a file of embeddings has none",
                hint="Use --protocol linear-probe.",
            )
        return BroughtEmbeddings(self.request.embeddings, read_embeddings(self.request.embeddings))

    def _folds(self) -> list[Fold]:
        protocol, official = self.protocol, self.cells.table["split"].to_numpy(dtype=np.str_)
        return outer_folds(
            self.cells.labels, self.cells.groups, official, recipe=protocol.split, folds=protocol.outer_folds,
            seed=protocol.split_seed,
        )  # fmt: skip

    def _audit(self, pixels: list[str] | None) -> dict[str, Any]:
        sides = [(fold.train, fold.test) for fold in self.folds]
        if self.plan is None:  # only cells are known, not what the embeddings saw around them
            return audit_split(self.cells, sides, side_px=0, pixel_hashes=None)
        beyond = self.plan.beyond_border
        audit = audit_split(self.cells, sides, side_px=self.plan.side_px, pixel_hashes=pixels, beyond_border=beyond)
        return audit | {"skipped_cells": [list(skipped) for skipped in self.plan.skipped]}

    def _device(self) -> tuple[str, str | None]:
        from mitozoo.models.devices import pick_device, resolve_precision

        device = pick_device(self.request.device)
        if isinstance(self.subject, BroughtEmbeddings):
            return device, None
        return device, resolve_precision(self.subject.spec, self.request.precision, device)

    def _identity(self) -> dict[str, Any]:
        """Return everything that could change a number of this run, but for the axes."""
        model = self.subject.document()
        windows = b"" if self.plan is None else self.plan.row_keys().tobytes()
        return {
            "model": model["fingerprint"],
            "weights": model["weights_sha256"],
            "dataset": self.dataset.spec.fingerprint(),
            "cells": self.cells.sha256(),
            "windows": hashlib.sha256(windows).hexdigest(),
            "negatives": self.request.negatives,
            "protocol": self.protocol.hash,
            "precision": self.precision,
        }

    def _folder_name(self, identifier: str) -> str:
        model = self.subject.name.replace(":", "-").replace("/", "-")
        return f"{model}-{self.dataset.spec.name}-{self.protocol.name.partition('@')[0]}-{identifier[:12]}"

    def _wanted(self) -> list[Axes]:
        fractions = sorted(set(self.request.fractions), reverse=True)
        return [
            Axes(fold.index, seed, fraction)
            for fraction in fractions
            for seed in range(self.request.seeds)
            for fold in self.folds[: self.request.folds]
        ]

    def _fitter(self, folder: RunFolder) -> Fitter:
        if isinstance(self.protocol, EndToEnd):
            assert isinstance(self.subject, RegisteredModel)
            assert self.plan is not None
            assert self.precision is not None
            return TrainingFitter(
                self.protocol, self.subject, self.plan, self.device, self.precision, folder, self.progress
            )
        return FrozenFitter(
            self.protocol, self.subject, self.cells, self.plan, self.device, self.precision, self.request.batch_size,
            self.progress,
        )  # fmt: skip

    def _fit(self, missing: list[Axes], fitter: Fitter, folder: RunFolder) -> None:
        labels, groups, by = self.cells.labels, self.cells.groups, self.protocol.fraction_of
        with self.progress.stage(fitter.stage, fitter.unit) as advance:
            for number, axes in enumerate(missing):
                fold = self.folds[axes.fold]
                try:
                    train = draw(labels, groups, fold.train, fraction=axes.fraction, seed=axes.seed, by=by)
                except NotEnoughLabels as reason:
                    folder.write_row(ResultRow(axes, SKIPPED, str(reason)))
                else:
                    folder.write_row(fitter.fit(axes, train, fold.test, number, len(missing), advance))

    def _document(self, identity: dict[str, Any], folder: RunFolder, pixels: list[str] | None) -> dict[str, Any]:
        """Write the run's tables and return its document."""
        rows = folder.rows()
        ids = self.cells.table["cell_id"]
        write_table(cell_table(self.cells.table), folder.path / CELLS)
        write_table(split_table(ids, rows), folder.path / SPLITS)
        write_table(prediction_table(ids, rows), folder.path / PREDICTIONS)
        files = [folder.path / name for name in (CELLS, SPLITS, PREDICTIONS)] + folder.row_files()
        return result_document(
            identity=identity, subject=self.subject, dataset=self.dataset, protocol=self.protocol, request=self.request,
            cells=self.cells, plan=self.plan, folds=self.folds, rows=rows, audit=self._audit(pixels),
            files={path.relative_to(folder.path).as_posix(): content_id(path) for path in files},
        )  # fmt: skip


def _is_up_to_date(document: dict[str, Any], folder: RunFolder) -> bool:
    """Tell whether a document holds all rows of its folder; a killed call may have appended some since."""
    return {entry["row_id"] for entry in document["scores"]} == {path.stem for path in folder.row_files()}
