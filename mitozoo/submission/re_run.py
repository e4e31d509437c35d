"""Compute a random sample of a submission again from pixels and weights: what no forgery of files survives."""

from __future__ import annotations

import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.embeddings.extract import embed
from mitozoo.embeddings.store import EmbeddingStore
from mitozoo.engine.embed import cells_at_once, key_of
from mitozoo.engine.find_model import find_model
from mitozoo.engine.progress import Progress
from mitozoo.engine.seen_again import UNTRAINED, see_again
from mitozoo.engine.subject import RegisteredModel, UntrainedModel
from mitozoo.errors import MitozooError, VerificationError
from mitozoo.models.devices import number_format, pick_device
from mitozoo.protocols.kinds import HEAD_FITS
from mitozoo.protocols.presets import find_protocol
from mitozoo.protocols.spec import override
from mitozoo.results.agreement import agree, expect
from mitozoo.results.conditions import Conditions
from mitozoo.results.row import DONE
from mitozoo.results.tables import CELLS, KEPT, read_rows, read_table

if TYPE_CHECKING:
    from mitozoo.results.row import ResultRow

#: How far a score may lie from the recorded one: other processors and batches round otherwise.
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 5e-2}
CELLS_SCORED = 200


class NotRunAgainError(MitozooError):
    """A submission cannot be computed again here; the message says why, and nothing is held against it."""


@dataclass(frozen=True)
class ReRun:
    """How a sample is computed again.

    Attributes:
        data: the dataset's folder; None: the one that was fetched, or that the dataset makes itself.
        cells: how many test cells are scored again, at most.
        seed: draws the row and its cells; None: one that nobody could know beforehand.
        device: 'auto', 'cuda', 'mps' or 'cpu'.
    """

    data: Path | None = None
    cells: int = CELLS_SCORED
    seed: int | None = None
    device: str = "auto"


def re_run(folder: Path, document: dict[str, Any], asked: ReRun, progress: Progress | None = None) -> str:
    """Draw one row, embed its training cells and some of its test cells, fit its head, and compare the scores.

    A head cannot be had from a sample of its training cells, so these are embedded whole: one row costs about one pass
    over its training side. The weights must be the recorded ones, and every window, to the last pixel.

    Returns:
        What was computed and how far it lies from what is recorded, in one line.

    Raises:
        NotRunAgainError: model, weights or images are not at hand, or the protocol trains the network.
        VerificationError: the cells' labels, pixels, weights or scores are not the recorded ones.
    """
    protocol = document["protocol"]["parameters"]
    if protocol["kind"] not in HEAD_FITS:
        raise NotRunAgainError(f"protocol '{document['protocol']['name']}' trains the network, which is not repeated")
    table = read_table(folder / CELLS, KEPT)
    rows = [
        row for row in read_rows(folder, table["cell_id"], document["scores"])
        if row.status == DONE and not row.axes.perturbed
    ]  # fmt: skip
    if not rows:
        raise NotRunAgainError("all of its rows were skipped")
    seed = secrets.randbelow(2**31) if asked.seed is None else asked.seed
    draw = np.random.default_rng(seed)
    row = rows[int(draw.integers(len(rows)))]
    scored = np.sort(draw.choice(row.test, min(asked.cells, len(row.test)), replace=False))
    try:
        again, threshold = _scores(document, table["cell_id"].tolist(), row, scored, asked, progress or Progress())
    except VerificationError:
        raise
    except MitozooError as error:
        raise NotRunAgainError(error.message, hint=error.hint) from error
    recorded = row.test_scores[np.searchsorted(row.test, scored)]
    apart = np.abs(again - recorded)
    allowed = TOLERANCE[number_format(document["precision"])]
    worst = int(apart.argmax())
    expect(
        bool(apart[worst] <= allowed),
        f"{int((apart > allowed).sum())} of {len(scored)} scores of {row.axes.row_id} are others when computed again "
        f"(--seed {seed}): {table['cell_id'].iloc[scored[worst]]} scores {again[worst]:.6f}, and "
        f"{recorded[worst]:.6f} is recorded",
    )
    expect(
        abs(threshold - row.threshold) <= allowed,
        f"the threshold of {row.axes.row_id} is {threshold:.6f} when it is computed again (--seed {seed}), and "
        f"{row.threshold:.6f} is recorded",
    )
    return (
        f"{len(scored)} scores of {row.axes.row_id} were computed again from pixels and weights, its head fitted on "
        f"{len(row.train):,} cells: {apart[worst]:.1e} apart at most (--seed {seed})"
    )


def _scores(
    document: dict[str, Any], cell_ids: list[str], row: ResultRow, scored: np.ndarray[Any, Any], asked: ReRun,
    progress: Progress,
) -> tuple[np.ndarray[Any, Any], float]:  # fmt: skip
    """Return the scores of these cells, and the row's threshold."""
    recorded, name = document["model"], document["model"]["name"]
    registered = find_model(name.removesuffix(UNTRAINED))
    subject = UntrainedModel(registered) if name.endswith(UNTRAINED) else RegisteredModel(registered)
    agree("weights_sha256", subject.weights_sha256, recorded["weights_sha256"])
    preset = find_protocol(document["protocol"]["name"].partition("@")[0].partition("+")[0])
    changed = {
        key: ",".join(map(repr, value)) if isinstance(value, list) else str(value)
        for key, value in document["protocol"]["parameters"].items()
        if value != preset.parameters().get(key)
    }
    protocol = override(preset, changed)
    plan = see_again(document, cell_ids, asked.data)
    agree("sha256 of cells, slides, groups and labels", plan.cells.sha256(), document["dataset"]["cells_sha256"])
    needed = np.union1d(row.train, scored)
    device = pick_device(asked.device)
    with tempfile.TemporaryDirectory() as nothing_known, progress.stage("embeddings") as advance:
        store = EmbeddingStore(
            key_of(subject, document["precision"], document.get("deterministic", False)), Path(nothing_known)
        )
        embedded = embed(
            plan.take(needed), store, subject.load, device=device, batch_size=cells_at_once(None, device),
            on_progress=advance, on_note=progress.note,
        )  # fmt: skip
    labels = Conditions.of(document).trained_labels(plan.cells.labels, row.axes.seed)
    prediction = HEAD_FITS[protocol.kind](
        protocol, embedded.vectors, labels[needed], plan.cells.groups[needed], np.searchsorted(needed, row.train),
        np.searchsorted(needed, scored), device="cpu" if device == "mps" else device,
    )  # fmt: skip
    return prediction.test_scores, prediction.threshold
