"""Which rows a request asks for, the stored run that holds them all, and what further rows take on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo.embeddings.store import OVERHEAD_BYTES
from mitozoo.engine.image_controls import wants_image_controls
from mitozoo.engine.subject import RegisteredModel
from mitozoo.protocols.network_training import NetworkTraining
from mitozoo.results.result import Result
from mitozoo.results.row import Axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.engine.request import Request
    from mitozoo.engine.subject import BroughtEmbeddings
    from mitozoo.protocols.spec import Protocol
    from mitozoo.results.run_folder import RunFolder

    Subject = RegisteredModel | BroughtEmbeddings

BYTES_OF_A_CELL = 200  # in the files of one row: positions, scores, and its lines in the tables
WEIGHTS_IN_A_CHECKPOINT = 4  # the network's, the best so far, and two moments of the optimiser


def wanted_rows(request: Request, folds: Sequence[tuple[int, int | None]]) -> list[Axes]:
    """Return the rows that are asked for, of folds given as (index, which fold it is the reference for)."""
    fractions = sorted(set(request.fractions), reverse=True)
    wanted = {index for index, reference_for in folds if reference_for is None}
    wanted = set(sorted(wanted)[: request.folds])
    perturbations = [str(one) for one in request.perturbations]
    return [
        Axes(index, seed, fraction, perturbed)
        for fraction in fractions
        for seed in range(request.seeds)
        for index, reference_for in folds
        if index in wanted or reference_for in wanted
        for perturbed in ("", *(perturbations if reference_for is None else ()))
    ]


def stored_run(folder: RunFolder, request: Request, subject: Subject) -> Result | None:
    """Return the run as it lies there if it holds all that is wanted; the same cells have the same folds.

    Raises:
        StorageError: a row is not the one that the document records.
    """
    document = folder.result()
    if document is None or not folder.holds(document):
        return None
    folds = [(fold["fold"], fold["reference_for"]) for fold in document["folds"]]
    whole = all(folder.has(axes) for axes in wanted_rows(request, folds))
    if wants_image_controls(request, subject) and not document.get("image_controls"):
        return None
    return Result(document, folder.path) if whole else None


def bytes_of_rows(rows: int, cells: int, subject: Subject, protocol: Protocol) -> int:
    """Return what further rows of a run take on the disk, generously, with the tables over all of them."""
    needed = BYTES_OF_A_CELL * cells * (rows + 1) + OVERHEAD_BYTES
    if isinstance(protocol, NetworkTraining) and isinstance(subject, RegisteredModel):
        trained = protocol.tuned_share(subject.spec.embed_dim) * subject.weight_bytes
        needed += round(trained * (rows + WEIGHTS_IN_A_CHECKPOINT))
    return needed
