"""One evaluation, from names to a finished run: the whole way of the data in one place."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.data.audit import audit_split, require_no_leak
from mitozoo.data.folds import make_folds
from mitozoo.data.splits import Fold, NotEnoughLabels
from mitozoo.embeddings.store import OVERHEAD_BYTES, PIPELINE_VERSION, require_room
from mitozoo.engine.cost import compute_record
from mitozoo.engine.document import result_document
from mitozoo.engine.find_model import find_model
from mitozoo.engine.fits import Fit, Fitter, Perturbed
from mitozoo.engine.head_fits import FrozenFitter
from mitozoo.engine.image_controls import run_image_controls, wants_image_controls
from mitozoo.engine.log import tell
from mitozoo.engine.network_fits import TrainingFitter
from mitozoo.engine.progress import Progress
from mitozoo.engine.request import Request
from mitozoo.engine.run_facts import run_facts
from mitozoo.engine.seen import see
from mitozoo.engine.subject import BroughtEmbeddings, RegisteredModel
from mitozoo.errors import ProtocolError
from mitozoo.protocols.fine_tune import NetworkTraining
from mitozoo.protocols.presets import find_protocol
from mitozoo.protocols.spec import override
from mitozoo.redaction import redacted
from mitozoo.results.result import Result
from mitozoo.results.row import SKIPPED, Axes, ResultRow
from mitozoo.results.run_folder import RESULT, RunFolder, run_id
from mitozoo.results.scoring import CellColumns, labelled_rows
from mitozoo.results.shared_runs import SharedRuns
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS, cell_table, prediction_table, split_table, write_table
from mitozoo.storage import content_ids

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mitozoo.data.patches import PatchPlan
    from mitozoo.protocols.spec import Protocol

BYTES_OF_A_CELL = 200  # in the files of one row: positions, scores, and its lines in the tables
WEIGHTS_IN_A_CHECKPOINT = 4  # the network's, the best so far, and two moments of the optimiser


def evaluate(
    model: str | None = None,
    dataset: str = "demo",
    *,
    progress: Progress | None = None,
    track: Sequence[str] = (),
    **asked: Any,
) -> Result:
    """Evaluate a model on a dataset by a protocol and return the result, computing only what is not there yet.

    Args:
        model: name of a registered model, or its place (see `find_model`); None with `embeddings`.
        dataset: name of a registered dataset.
        progress: listens to what happens.
        track: trackers that the run is written up in, as 'mlflow' or 'mlflow:PLACE'.
        **asked: any further attribute of `Request`.

    Raises:
        MitozooError: the input is not right; the message says what, where, why, and what to do next.
    """
    request, progress = Request(model=model, dataset=dataset, **asked), progress or Progress()
    if track:
        from mitozoo.engine.tracking import Tracking

        progress.listeners += (Tracking(track),)
    return Evaluation(request, progress).run()


class Evaluation:
    """One request on its way; each step leaves behind what the next one needs.

    Attributes:
        device: that networks run on, once `look` has returned.
        precision: theirs; None where embeddings are brought.
    """

    def __init__(self, request: Request, progress: Progress, subject: RegisteredModel | None = None) -> None:
        self.request, self.progress = request, progress
        self.protocol: Protocol = override(find_protocol(request.protocol), request.settings)
        if self.protocol.trains_network and request.batch_size is not None:
            raise ProtocolError(
                f"protocol '{self.protocol.name}' states its own batch size, since that changes its numbers",
                hint=f"Say --set batch_size={request.batch_size}, which makes another protocol of it.",
            )
        self.subject = subject or self._subject()
        if self.protocol.trains_network and isinstance(self.subject, RegisteredModel) and self.subject.spec.isolate:
            raise ProtocolError(
                f"protocol '{self.protocol.name}' trains the network, and model '{self.subject.name}' runs in an "
                "environment of its own, where it can only embed patches",
                hint="Use --protocol linear-probe.",
            )
        self.conditions = request.conditions
        self.shared = SharedRuns(request.shared_runs, progress.note) if request.shared_runs else None
        self._prepared: tuple[Fitter, list[str] | None] | None = None

    def run(self) -> Result:
        """Return the stored run where it holds all that is wanted, else compute what is missing."""
        self.look()
        return self.finish()

    def look(self) -> Result | None:
        """Find the cells, their windows and folds; return the stored run where it holds all that is wanted."""
        with self.progress.stage("cells"):
            self.seen = see(self.request, self.subject, self.protocol)
            self.cells, self.plan = self.seen.cells, self.seen.plan
            self.columns = CellColumns.of(self.cells.table, self.conditions)
            self.recipe = self.conditions.recipe(self.protocol.parameters())
            for text in self.plan.notes() if self.plan else ():
                self.progress.note(text)
            self.device, self.precision = self._device()
            self.identity = self._identity()
            self.folder = RunFolder(self.request.out / self._folder_name(run_id(self.identity)))
        self.found = self._stored(self.folder)
        if self.found is None and self.shared is not None:
            with self.folder.locked():
                self.shared.take(self.folder)
            self.found = self._stored(self.folder)
        if self.found is not None:
            return self.found
        with self.progress.stage("folds"):
            self.folds = self._folds()
            if not self.recipe.leaks:
                require_no_leak(self._audit(pixels=None))
        return None

    def plans_to_embed(self) -> list[PatchPlan]:
        """Return the windows, and those that perturbations leave, of which frozen embeddings are needed."""
        if self.plan is None or self.protocol.trains_network:
            return []
        return [self.plan, *(one.plan for one in self.perturbed())]

    def finish(self) -> Result:
        """Return the run that `look` found, else compute what is missing; whoever listens hears of it either way."""
        facts = run_facts(
            run_id(self.identity), self.folder.path, subject=self.subject, cells=self.cells, protocol=self.protocol,
            request=self.request, device=self.device, precision=self.precision,
        )  # fmt: skip
        with self.progress.run(facts) as ended:
            result = self.found or self._compute()
            if self.shared is not None:  # a stored run too: its upload may have been cut short
                with self.folder.locked():
                    self.shared.put(self.folder)
            ended(result)
        return result

    def _compute(self) -> Result:
        """Compute the rows that are missing, and the document over all of them."""
        folder = self.folder
        with folder.locked():
            if (stored := self._stored(folder)) is not None:  # made while this process waited
                return stored
            missing = self.missing()
            require_room(folder.path, self._bytes_of(len(missing)), "the run folder")
            fitter, pixels = self.prepare()
            self._fit(missing, fitter, folder)
            controls = self._image_controls(folder)
            if self.shared is not None:  # what other machines appended meanwhile
                self.shared.take_rows(folder)
            with self.progress.stage("metrics and intervals", "rows"):
                document = redacted(self._document(folder, pixels, controls))
            computed = compute_record(self.request, self.identity["model"], fitter, self.progress)
            folder.append_compute(redacted(computed))
            folder.write_json(RESULT, document)
            folder.clean()
        return Result(document, folder.path)

    def missing(self) -> list[Axes]:
        """Return the rows that are wanted and not there yet."""
        return [axes for axes in self._wanted() if not self.folder.has(axes)]

    def prepare(self) -> tuple[Fitter, list[str] | None]:
        """Have, once, whatever all rows share, and a digest of each cell's pixels where they were read."""
        if self._prepared is None:
            fitter = self._fitter(self.folder)
            self._prepared = fitter, fitter.prepare()
        return self._prepared

    def fit(self, rows: Sequence[Axes]) -> int:
        """Fit those of these rows that are not there yet, and return how many; the document is left to `finish`."""
        missing = [axes for axes in rows if not self.folder.has(axes)]
        if missing:
            require_room(self.folder.path, self._bytes_of(len(missing)), "the run folder")
            self._fit(missing, self.prepare()[0], self.folder)
        return len(missing)

    def _stored(self, folder: RunFolder) -> Result | None:
        """Return the run as it lies there if it holds all that is wanted; the same cells have the same folds."""
        document = folder.result()
        if document is None or not folder.holds(document):
            return None
        folds = [(fold["fold"], fold["reference_for"]) for fold in document["folds"]]
        whole = all(folder.has(axes) for axes in self._wanted_of(folds))
        if wants_image_controls(self.request, self.subject) and not document.get("image_controls"):
            return None
        return Result(document, folder.path) if whole else None

    def _subject(self) -> RegisteredModel | BroughtEmbeddings:
        if self.request.model is not None:
            return RegisteredModel(find_model(self.request.model), self.request.weights)
        from mitozoo.embeddings.table import read_embeddings

        assert self.request.embeddings is not None
        if self.protocol.trains_network:
            raise ProtocolError(
                f"protocol '{self.protocol.name}' trains the network, and a file of embeddings has none",
                hint="Use --protocol linear-probe.",
            )
        return BroughtEmbeddings(self.request.embeddings, read_embeddings(self.request.embeddings))

    def _folds(self) -> list[Fold]:
        columns, official = self.columns, self.cells.table["split"].to_numpy(dtype=np.str_)
        return make_folds(columns.labels, columns.groups, official, columns.domains, self.recipe)

    def _audit(self, pixels: list[str] | None) -> dict[str, Any]:
        sides = [(fold.train, fold.test) for fold in self.folds]
        if self.plan is None:  # only cells are known, not what the embeddings saw around them
            return audit_split(self.cells, sides, side_px=0, pixel_hashes=None)
        beyond = self.plan.beyond_border
        audit = audit_split(self.cells, sides, side_px=self.plan.side_px, pixel_hashes=pixels, beyond_border=beyond)
        return audit | self.plan.findings()

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
            "dataset": self.seen.fingerprint,
            "cells": self.cells.sha256(),
            "windows": hashlib.sha256(windows).hexdigest(),
            "negatives": self.request.negatives,
            "protocol": self.protocol.hash,
            "conditions": self.conditions.to_json(),
            "precision": self.precision,
            "pipeline": None if self.plan is None else PIPELINE_VERSION,
        }

    def _folder_name(self, identifier: str) -> str:
        model = self.subject.name.replace(":", "-").replace("/", "-")
        return f"{model}-{self.cells.spec.name}-{self.protocol.name.partition('@')[0]}-{identifier[:12]}"

    def _wanted(self) -> list[Axes]:
        return self._wanted_of([(fold.index, fold.reference_for) for fold in self.folds])

    def _wanted_of(self, folds: Sequence[tuple[int, int | None]]) -> list[Axes]:
        """Return the rows that are asked for, of folds given as (index, which fold it is the reference for)."""
        fractions = sorted(set(self.request.fractions), reverse=True)
        wanted = {index for index, reference_for in folds if reference_for is None}
        wanted = set(sorted(wanted)[: self.request.folds])
        return [
            Axes(index, seed, fraction, perturbed)
            for fraction in fractions
            for seed in range(self.request.seeds)
            for index, reference_for in folds
            if index in wanted or reference_for in wanted
            for perturbed in ("", *(map(str, self.request.perturbations) if reference_for is None else ()))
        ]

    def _bytes_of(self, rows: int) -> int:
        """Return what further rows take on the disk, generously, with the tables over all of them."""
        needed = BYTES_OF_A_CELL * len(self.cells) * (rows + 1) + OVERHEAD_BYTES
        if isinstance(self.protocol, NetworkTraining) and isinstance(self.subject, RegisteredModel):
            trained = self.protocol.tuned_share(self.subject.spec.embed_dim) * self.subject.weight_bytes
            needed += round(trained * (rows + WEIGHTS_IN_A_CHECKPOINT))
        return needed

    def perturbed(self) -> list[Perturbed]:
        """Return the test cells as each perturbation leaves them."""
        if not self.request.perturbations:
            return []
        if self.plan is None:
            raise ProtocolError("--perturb changes patches, and --embeddings come without any", hint="Name a --model.")
        wanted = {axes.fold for axes in self._wanted() if axes.perturbed}
        rows = np.unique(np.concatenate([self.folds[index].test for index in sorted(wanted)]))
        return [Perturbed(str(one), rows, self.plan.take(rows, one)) for one in self.request.perturbations]

    def _fitter(self, folder: RunFolder) -> Fitter:
        perturbed = self.perturbed()
        if isinstance(self.protocol, NetworkTraining):
            assert isinstance(self.subject, RegisteredModel)
            assert self.plan is not None
            assert self.precision is not None
            return TrainingFitter(
                self.protocol, self.subject, self.plan, perturbed, self.conditions, self.device, self.precision, folder,
                self.progress,
            )  # fmt: skip
        return FrozenFitter(
            self.protocol, self.subject, self.cells, self.plan, perturbed, self.conditions, self.device, self.precision,
            self.request.batch_size, self.progress,
        )  # fmt: skip

    def _fit(self, missing: list[Axes], fitter: Fitter, folder: RunFolder) -> None:
        by_fit: dict[Axes, list[Axes]] = {}
        for axes in missing:
            by_fit.setdefault(axes.fit, []).append(axes)
        fits = []
        for fit, rows in by_fit.items():
            fold = self.folds[fit.fold]
            try:
                train = labelled_rows(self.columns, fold.train, fit, self.protocol.fraction_of)
            except NotEnoughLabels as reason:
                for axes in rows:
                    folder.write_row(ResultRow(axes, SKIPPED, str(reason)))
                    tell("row", f"{axes.row_id} skipped: {reason}", row=axes.row_id, status=SKIPPED)
            else:
                fits.append(Fit(rows, train, fold.test))
        with self.progress.stage(fitter.stage, fitter.unit) as advance:
            for made in fitter.fit(fits, advance):
                for row in made:
                    folder.write_row(row)
                    tell("row", f"{row.axes.row_id} done", row=row.axes.row_id, status=row.status)

    def _image_controls(self, folder: RunFolder) -> dict[str, Path | str]:
        """Run the controls that see the image where they are wanted, or stand in the result already."""
        stored = folder.result() or {}
        wanted = wants_image_controls(self.request, self.subject) or stored.get("image_controls")
        if not wanted or not isinstance(self.subject, RegisteredModel):
            return {}

        def run(request: Request, subject: RegisteredModel) -> Path:
            self.progress.note(f"image control: {subject.name}")
            return Evaluation(request, type(self.progress)(), subject).run().folder

        patches_only = self.cells.spec.patch_px is not None
        return run_image_controls(self.request, self.subject, self.protocol, patches_only=patches_only, evaluate=run)

    def _document(self, folder: RunFolder, pixels: list[str] | None, controls: dict[str, Path | str]) -> dict[str, Any]:
        """Write the run's tables and return its document."""
        rows = folder.rows()
        ids = self.cells.table["cell_id"]
        write_table(cell_table(self.cells.table), folder.path / CELLS)
        write_table(split_table(ids, rows), folder.path / SPLITS)
        write_table(prediction_table(ids, rows), folder.path / PREDICTIONS)
        files = [folder.path / name for name in (CELLS, SPLITS, PREDICTIONS)] + folder.row_files()
        names = [path.relative_to(folder.path).as_posix() for path in files]
        return result_document(
            identity=self.identity, subject=self.subject, protocol=self.protocol, request=self.request,
            recipe=self.recipe, seen=self.seen, folds=self.folds, rows=rows, audit=self._audit(pixels),
            controls=controls, files=dict(zip(names, content_ids(files), strict=True)),
        )  # fmt: skip
