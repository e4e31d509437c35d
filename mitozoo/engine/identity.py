"""What makes a run the one that it is: everything that could change a number of it, but for the axes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mitozoo.embeddings.store import PIPELINE_VERSION
from mitozoo.engine.find_dataset import fingerprint_of
from mitozoo.results.run_folder import RunFolder, run_id

if TYPE_CHECKING:
    from mitozoo.engine.question import Question
    from mitozoo.engine.seen import Seen


@dataclass(frozen=True)
class Digests:
    """What a run says of its cells and their windows.

    Attributes:
        dataset: name of the dataset, or of all that were joined.
        cells: 64 hex digits over the cells.
        windows: 64 hex digits over the windows, down to the content of each image file.
        notes: what a person should be told of the windows.
    """

    dataset: str
    cells: str
    windows: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, seen: Seen) -> Digests:
        """Return the digests of cells that were read."""
        windows = b"" if seen.plan is None else seen.plan.row_keys().tobytes()
        notes = tuple(seen.plan.notes()) if seen.plan else ()
        return cls(seen.cells.spec.name, seen.cells.sha256(), hashlib.sha256(windows).hexdigest(), notes)


def run_identity(asked: Question, digests: Digests) -> dict[str, Any]:
    """Return everything that could change a number of a run, but for the axes."""
    model, request = asked.subject.document(), asked.request
    return {
        "model": model["fingerprint"],
        "weights": model["weights_sha256"],
        "dataset": fingerprint_of([one.registered for one in asked.data]),
        "cells": digests.cells,
        "windows": digests.windows,
        "negatives": request.negatives,
        "protocol": asked.protocol.hash,
        "conditions": asked.conditions.to_json(),
        "precision": asked.precision,
        "pipeline": None if asked.precision is None else PIPELINE_VERSION,
        **({"deterministic": True} if request.deterministic else {}),
    }


def folder_of(identity: dict[str, Any], asked: Question, digests: Digests) -> RunFolder:
    """Return a run's folder, whose name begins with what people call it and ends with the start of its id."""
    model = asked.subject.name.replace(":", "-").replace("/", "-")
    name = f"{model}-{digests.dataset}-{asked.protocol.name.partition('@')[0]}-{run_id(identity)[:12]}"
    return RunFolder(asked.request.out / name)
