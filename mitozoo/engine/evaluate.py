"""One evaluation, from names to a finished run: the whole way of the data in one place."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from mitozoo.data.audit import require_no_leak
from mitozoo.embeddings.store import require_room
from mitozoo.engine.cost import compute_record
from mitozoo.engine.fit_rows import fit_rows, fitter_of
from mitozoo.engine.identity import Digests, folder_of, run_identity
from mitozoo.engine.image_controls import run_image_controls, wants_image_controls
from mitozoo.engine.progress import Progress
from mitozoo.engine.question import Question
from mitozoo.engine.remembered import Remembered
from mitozoo.engine.request import Request
from mitozoo.engine.run_facts import RunFacts
from mitozoo.engine.subject import RegisteredModel
from mitozoo.engine.wanted import bytes_of_rows, stored_run
from mitozoo.redaction import redacted
from mitozoo.results.result import Result
from mitozoo.results.run_folder import RESULT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mitozoo.data.audit import PixelHashes
    from mitozoo.engine.fits import Fitter
    from mitozoo.results.row import Axes


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


class Evaluation(Question):
    """A question on its way to its answer; each step leaves behind what the next one needs.

    Attributes:
        identity: everything that could change a number of the run, once `look` has returned.
        folder: where it lies, or will.
        found: the stored run, where it holds all that is wanted.
    """

    def __init__(self, request: Request, progress: Progress, subject: RegisteredModel | None = None) -> None:
        super().__init__(request, subject)
        self.progress = progress
        self.shared = None
        if request.shared_runs:
            from mitozoo.results.shared_runs import SharedRuns

            self.shared = SharedRuns(request.shared_runs, progress.note)

    def run(self) -> Result:
        """Return the stored run where it holds all that is wanted, else compute what is missing."""
        self.look()
        return self.finish()

    def look(self) -> Result | None:
        """Return the stored run where it holds all that is wanted, else find the cells, their windows and folds."""
        with self.progress.stage("cells"):
            memory = Remembered(self)
            digests = memory.recall()
            self.found = self._stored(digests) if digests else None
            if digests is None or self.found is None:
                digests = Digests.of(self.seen)
                memory.keep(digests, self.seen)
                self.found = self._stored(digests)
            for text in digests.notes:
                self.progress.note(text)
        if self.found is None and self.shared is not None:
            with self.folder.locked():
                self.shared.take(self.folder)
            self.found = self._stored(digests)
        if self.found is None:
            with self.progress.stage("folds"):
                if not self.recipe.leaks:
                    require_no_leak(self.seen.audit(self.folds, pixels=None))
        return self.found

    def finish(self) -> Result:
        """Return the run that `look` found, else compute what is missing; whoever listens hears of it either way."""
        with self.progress.run(RunFacts(self, self.identity, self.folder, self.found)) as ended:
            result = self.found or self._compute()
            if self.shared is not None:  # a stored run too: its upload may have been cut short
                with self.folder.locked():
                    self.shared.put(self.folder)
            ended(result)
        return result

    def missing(self) -> list[Axes]:
        """Return the rows that are wanted and not there yet."""
        return [axes for axes in self.wanted if not self.folder.has(axes)]

    def prepare(self) -> tuple[Fitter, PixelHashes | None]:
        """Have, once, whatever all rows share, and a digest of each cell's pixels where they were read."""
        return self._prepared

    def fit(self, rows: Sequence[Axes]) -> int:
        """Fit those of these rows that are not there yet, and return how many; the document is left to `finish`."""
        missing = [axes for axes in rows if not self.folder.has(axes)]
        if missing:
            self._fit(missing)
        return len(missing)

    def _stored(self, digests: Digests) -> Result | None:
        """Know the run by its cells and windows, and return it as it lies there if it holds all that is wanted."""
        self.identity = run_identity(self, digests)
        self.folder = folder_of(self.identity, self, digests)
        return stored_run(self.folder, self.request, self.subject)

    def _compute(self) -> Result:
        """Compute the rows that are missing, and the document over all of them."""
        folder = self.folder
        with folder.locked():
            if (stored := stored_run(folder, self.request, self.subject)) is not None:  # made while this one waited
                return stored
            self._fit(self.missing())
            fitter, pixels = self.prepare()
            controls = self._image_controls()
            if self.shared is not None:  # what other machines appended meanwhile
                self.shared.take_rows(folder)
            with self.progress.stage("metrics and intervals", "rows"):
                from mitozoo.engine.document import write_document

                document = redacted(write_document(self, self.identity, folder, pixels, controls))
            computed = compute_record(self.request, self.identity["model"], fitter, self.progress)
            folder.append_compute(redacted(computed))
            folder.write_json(RESULT, document)
            folder.clean()
        return Result(document, folder.path)

    def _fit(self, missing: list[Axes]) -> None:
        room = bytes_of_rows(len(missing), len(self.cells), self.subject, self.protocol)
        require_room(self.folder.path, room, "the run folder")
        fitter, _ = self.prepare()
        fit_rows(self, missing, fitter, self.folder, self.progress)

    @functools.cached_property
    def _prepared(self) -> tuple[Fitter, PixelHashes | None]:
        fitter = fitter_of(self, self.folder, self.progress)
        return fitter, fitter.prepare()

    def _image_controls(self) -> dict[str, Path | str]:
        """Run the controls that see the image where they are wanted, or stand in the result already."""
        stored = self.folder.result() or {}
        wanted = wants_image_controls(self.request, self.subject) or stored.get("image_controls")
        if not wanted or not isinstance(self.subject, RegisteredModel):
            return {}

        def run(request: Request, subject: RegisteredModel) -> Path:
            self.progress.note(f"image control: {subject.name}")
            return Evaluation(request, type(self.progress)(), subject).run().folder

        patches_only = self.cells.spec.patch_px is not None
        return run_image_controls(self.request, self.subject, self.protocol, patches_only=patches_only, evaluate=run)
