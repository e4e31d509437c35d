"""What is known of a run before anything of it is computed, for logs and trackers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mitozoo.data.cells import Cells
    from mitozoo.engine.request import Request
    from mitozoo.engine.subject import BroughtEmbeddings, RegisteredModel
    from mitozoo.protocols.spec import Protocol

Plain = str | int | float | bool
OF_MODEL = ("plugin", "version", "fingerprint", "weights_sha256", "embed_dim", "pooling", "parameters", "license")
#: What one call asked for: a later one may add rows to the same run.
OF_REQUEST = ("seeds", "fractions", "folds", "limit", "perturb")


@dataclass(frozen=True)
class RunFacts:
    """A run that is about to be computed, or was found complete.

    Attributes:
        run_id: 64 hex digits.
        folder: where it lies; its name is how people call the run.
        parameters: flat names such as 'protocol.hash' -> what the run's numbers depend on, and what was asked for.
    """

    run_id: str
    folder: Path
    parameters: Mapping[str, Plain]


def run_facts(
    run_id: str,
    folder: Path,
    *,
    subject: RegisteredModel | BroughtEmbeddings,
    cells: Cells,
    protocol: Protocol,
    request: Request,
    device: str,
    precision: str | None,
) -> RunFacts:
    """Return the facts of a run; what is not known or was not asked for is left out."""
    model = subject.document()
    stated: dict[str, Any] = {
        "model": subject.name,
        **{f"model.{name}": model.get(name) for name in OF_MODEL},
        "dataset": cells.spec.name,
        "dataset.cells": len(cells),
        "dataset.cells_sha256": cells.sha256(),
        "dataset.groups": len(np.unique(cells.groups)),
        "dataset.group_level": cells.group_level,
        "dataset.negatives": request.negatives,
        "protocol": f"{protocol.name}@{protocol.version}",
        "protocol.hash": protocol.hash,
        **{f"protocol.{name}": value for name, value in protocol.parameters().items()},
        **{f"conditions.{name}": value for name, value in request.conditions.to_json().items()},
        "device": device,
        "precision": precision,
        **{f"asked.{name}": value for name, value in dataclasses.asdict(request).items() if name in OF_REQUEST},
    }
    told = {name: _as_plain(value) for name, value in stated.items() if value not in (None, "", (), [], {})}
    return RunFacts(run_id, folder, redacted(told))


def _as_plain(value: Any) -> Plain:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value if isinstance(value, str | bool | int | float) else str(value)
