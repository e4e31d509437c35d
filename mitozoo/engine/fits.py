"""How a protocol's rows are fitted: on frozen embeddings, or by training the network on its input patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from mitozoo.engine.embed import embed_with
from mitozoo.engine.subject import BroughtEmbeddings, RegisteredModel
from mitozoo.errors import ProtocolError
from mitozoo.protocols.linear_probe import LinearProbe, fit_linear_probe
from mitozoo.results.row import DONE, Axes, ResultRow, Rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from mitozoo.data.cells import Cells
    from mitozoo.data.patches import PatchPlan
    from mitozoo.engine.progress import Advance, Progress
    from mitozoo.protocols.fine_tune import EndToEnd
    from mitozoo.protocols.prediction import Prediction
    from mitozoo.protocols.spec import Protocol as ProtocolSpec
    from mitozoo.results.run_folder import RunFolder


class Fitter(Protocol):
    """Whoever makes rows."""

    stage: str
    unit: str
    computed: int
    device: str

    def prepare(self) -> list[str] | None:
        """Get ready whatever all rows share; return a digest of each cell's pixels where they were read."""

    def fit(self, axes: Axes, train: Rows, test: Rows, number: int, of: int, advance: Advance) -> ResultRow:
        """Fit one row."""


class FrozenFitter:
    """Fits heads on embeddings."""

    stage, unit = "probe", "rows"

    def __init__(
        self,
        protocol: ProtocolSpec,
        subject: RegisteredModel | BroughtEmbeddings,
        cells: Cells,
        plan: PatchPlan | None,
        device: str,
        precision: str | None,
        batch_size: int | None,
        progress: Progress,
    ) -> None:
        if not isinstance(protocol, LinearProbe):
            raise ProtocolError(f"protocol '{protocol.name}' of kind '{protocol.kind}' cannot be run by this version")
        self.protocol, self.subject, self.cells, self.plan = protocol, subject, cells, plan
        self.device, self.precision, self.progress = device, precision, progress
        self.batch_size = batch_size
        self.labels, self.groups = cells.labels, cells.groups
        self.embeddings: npt.NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)
        self.computed = 0
        self._fitted: dict[tuple[bytes, bytes], Prediction] = {}

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
        return embedded.pixels

    def fit(self, axes: Axes, train: Rows, test: Rows, number: int, of: int, advance: Advance) -> ResultRow:
        """Fit one probe; seeds that drew the same cells share it."""
        same = (train.tobytes(), test.tobytes())
        if same not in self._fitted:
            self._fitted[same] = self._probe(train, test)
        advance(number + 1, of)
        return _row(axes, train, test, self._fitted[same])

    def _probe(self, train: Rows, test: Rows) -> Prediction:
        device = "cpu" if self.device == "mps" else self.device  # mps knows no double precision
        return fit_linear_probe(self.protocol, self.embeddings, self.labels, self.groups, train, test, device=device)


class TrainingFitter:
    """Trains the whole network."""

    stage, unit = "training", "epochs"

    def __init__(
        self,
        protocol: EndToEnd,
        subject: RegisteredModel,
        plan: PatchPlan,
        device: str,
        precision: str,
        folder: RunFolder,
        progress: Progress,
    ) -> None:
        self.protocol, self.subject, self.plan, self.folder = protocol, subject, plan, folder
        self.device, self.precision, self.progress = device, precision, progress
        self.labels, self.groups = plan.cells.labels, plan.cells.groups
        self.patches: npt.NDArray[np.uint8] = np.empty((0, 0, 0, 3), dtype=np.uint8)
        self.computed = 0

    def prepare(self) -> list[str] | None:
        """Have all input patches, from the cache where they are there."""
        from mitozoo.embeddings.input_patches import input_patches

        with self.progress.stage("patches") as advance:
            self.patches, pixels = input_patches(self.plan, self.subject.spec.preprocessing, advance)
        return pixels

    def fit(self, axes: Axes, train: Rows, test: Rows, number: int, of: int, advance: Advance) -> ResultRow:
        """Train one network."""
        from mitozoo.protocols.fine_tune import fit_end_to_end

        def on_epoch(done: int, total: int) -> None:
            advance(number * total + done, of * total)

        prediction = fit_end_to_end(
            self.protocol, self.subject.load, self.patches, self.labels, self.groups, train, test, seed=axes.seed,
            device=self.device, precision=self.precision, checkpoint=self.folder.checkpoint(axes), on_progress=on_epoch,
        )  # fmt: skip
        return _row(axes, train, test, prediction)


def _row(axes: Axes, train: Rows, test: Rows, prediction: Prediction) -> ResultRow:
    return ResultRow(
        axes=axes, status=DONE, train=train, inner_parts=prediction.inner_parts, test=test,
        test_scores=prediction.test_scores, validation_scores=prediction.validation_scores,
        threshold=prediction.threshold, selected=prediction.selected, converged=prediction.converged,
        flags=prediction.flags, tensors=prediction.tensors,
    )  # fmt: skip
