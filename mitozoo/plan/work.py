"""What a worker does with the tasks that it is given, and what it keeps in memory between them."""

from __future__ import annotations

import contextlib
import functools
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.claims import claimed
from mitozoo.embeddings.embedder import Extraction
from mitozoo.embeddings.extract import embed_missing
from mitozoo.embeddings.shard_files import shard_name
from mitozoo.embeddings.shards import shards
from mitozoo.engine.embed import cells_at_once
from mitozoo.engine.fit_rows import fitter_of
from mitozoo.engine.log import within
from mitozoo.engine.subject import RegisteredModel
from mitozoo.plan.survey import evaluation_of, extractions, survey
from mitozoo.plan.task import Asked
from mitozoo.results.row import Axes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from mitozoo.engine.evaluate import Evaluation
    from mitozoo.models.encoder import Encoder
    from mitozoo.results.result import Result

HELD = 4  # evaluations whose cells and windows are kept


class BusyError(Exception):
    """Another process is doing this work: whoever asks again later finds it done."""


@dataclass
class _Looked:
    """An evaluation that has looked at its cells, their windows and folds."""

    evaluation: Evaluation
    stored: Result | None

    @functools.cached_property
    def extractions(self) -> list[Extraction]:
        return extractions(self.evaluation)

    @functools.cached_property
    def pieces(self) -> list[npt.NDArray[np.int64]]:
        """Rows by shard, of the cells themselves; a perturbed plan has its own."""
        return shards(self.extractions[0].plan)


class Workbench:
    """Does tasks, one at a time; cells, windows and the last encoder stay in memory between them."""

    def __init__(self) -> None:
        self._looked: OrderedDict[str, _Looked] = OrderedDict()
        self._encoder: tuple[tuple[str, str, str], Encoder] | None = None

    def do(self, task: dict[str, Any]) -> dict[str, Any]:
        """Do a task and return what it tells.

        Raises:
            BusyError: another process is at it.
            MitozooError: it cannot be done.
        """
        payload = task["payload"]
        asked = Asked.of(payload["asked"])
        if task["kind"] == "survey":
            self._looked.pop(asked.key, None)
        looked = self._look(asked)
        if task["kind"] == "survey":
            needed = [] if looked.stored else looked.extractions
            return survey(looked.evaluation, needed, stored=looked.stored is not None)
        uploads = task["kind"] == "result" and looked.evaluation.shared is not None
        if looked.stored and not uploads:  # by another process, since the survey
            return {"computed": 0}
        do = {"patches": self._patches, "embed": self._embed, "fit": self._fit, "result": self._result}[task["kind"]]
        with within(run=None if task["kind"] == "embed" else looked.evaluation.folder.path.name):  # shards are of many
            return do(looked, payload)

    def _patches(self, looked: _Looked, payload: dict[str, Any]) -> dict[str, Any]:
        """Store the patches of a training; its network is none of this task's business, since others share it."""
        from mitozoo.engine.network_fits import TrainingFitter

        evaluation = looked.evaluation
        trainings = fitter_of(evaluation, evaluation.folder, evaluation.progress)
        assert isinstance(trainings, TrainingFitter)
        with _alone(evaluation.folder.path, [payload["name"]]):
            trainings.store_patches()
        return {}

    def _embed(self, looked: _Looked, payload: dict[str, Any]) -> dict[str, Any]:
        """Cache neighbouring shards of one plan; each is what an evaluation by itself would write, byte for byte."""
        evaluation, whole = looked.evaluation, looked.extractions[payload["part"]]
        assert isinstance(evaluation.subject, RegisteredModel)
        pieces = looked.pieces if payload["part"] == 0 else shards(whole.plan)
        first, last = payload["shards"]
        rows = np.concatenate(pieces[first : last + 1])
        names = [shard_name(whole.keys[piece]) for piece in pieces[first : last + 1]]
        load = functools.partial(self._load, evaluation.subject)
        part = Extraction(whole.plan.take(rows), whole.store, load)
        with _alone(whole.store.folder, names):
            [computed] = embed_missing(
                [part], device=evaluation.device,
                batch_size=cells_at_once(evaluation.request.batch_size, evaluation.device),
                on_note=evaluation.progress.note,
            )  # fmt: skip
        return {"computed": computed}

    def _fit(self, looked: _Looked, payload: dict[str, Any]) -> dict[str, Any]:
        evaluation = looked.evaluation
        rows = [Axes(*axes) for axes in payload["rows"]]
        if evaluation.protocol.trains_network:
            self._encoder = None  # a training brings its own networks
        with _alone(evaluation.folder.path, [axes.fit.row_id for axes in rows]):
            return {"computed": evaluation.fit(rows)}

    def _result(self, looked: _Looked, payload: dict[str, Any]) -> dict[str, Any]:
        evaluation = looked.evaluation
        evaluation.progress.seconds = {f"{kind} tasks": seconds for kind, seconds in payload["seconds"].items()}
        found, looked.stored = looked.stored, evaluation.finish()
        computed = {} if found is None else {"computed": 0}  # below a URL: it was there, and its upload was looked at
        return computed | {"title": looked.stored.title(), "auroc": looked.stored.mean()}

    def _look(self, asked: Asked) -> _Looked:
        """Return the evaluation of a run, which looks once for all tasks of the run that follow each other."""
        looked = self._looked.get(asked.key)
        if looked is None:
            evaluation = evaluation_of(asked)
            looked = self._looked[asked.key] = _Looked(evaluation, evaluation.look())
            if len(self._looked) > HELD:
                self._looked.popitem(last=False)
        self._looked.move_to_end(asked.key)
        return looked

    def _load(self, subject: RegisteredModel) -> Encoder:
        """Return a model's encoder, the last one loaded if it is that; two would have to share the memory."""
        key = (subject.name, subject.spec.fingerprint(), subject.weights_sha256)
        if self._encoder is None or self._encoder[0] != key:
            self._encoder = None  # first, so that its memory is free
            self._encoder = key, subject.load()
        return self._encoder[1]


@contextlib.contextmanager
def _alone(folder: Any, names: list[str]) -> Iterator[None]:
    with claimed(folder, names) as mine:
        if not mine:
            raise BusyError
        yield
