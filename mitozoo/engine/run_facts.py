"""What is known of a run before anything of it is computed, for logs and trackers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from mitozoo.redaction import redacted
from mitozoo.results.run_folder import run_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mitozoo.engine.question import Question
    from mitozoo.results.result import Result
    from mitozoo.results.run_folder import RunFolder

Plain = str | int | float | bool
OF_MODEL = ("plugin", "version", "fingerprint", "weights_sha256", "embed_dim", "pooling", "parameters", "license")
OF_DATASET = ("cells", "cells_sha256", "groups", "group_level")
#: What one call asked for: a later one may add rows to the same run.
OF_REQUEST = ("seeds", "fractions", "folds", "limit", "perturb")


class RunFacts:
    """A run that is about to be computed, or was found complete.

    Attributes:
        run_id: 64 hex digits.
        folder: where it lies; its name is how people call the run.
    """

    def __init__(self, asked: Question, identity: dict[str, Any], folder: RunFolder, found: Result | None) -> None:
        """Take the question, the run's identity and folder, and the run itself where it was found complete."""
        self.run_id, self.folder, self._asked, self._found = run_id(identity), folder.path, asked, found

    @functools.cached_property
    def parameters(self) -> Mapping[str, Plain]:
        """Flat names such as 'protocol.hash' -> what the run's numbers depend on, and what was asked for.

        What is not known or was not asked for is left out.
        """
        asked, request = self._asked, self._asked.request
        model, dataset = asked.subject.document(), self._dataset()
        stated: dict[str, Any] = {
            "model": asked.subject.name,
            **{f"model.{name}": model.get(name) for name in OF_MODEL},
            "dataset": dataset["name"],
            **{f"dataset.{name}": dataset[name] for name in OF_DATASET},
            "dataset.negatives": request.negatives,
            "protocol": f"{asked.protocol.name}@{asked.protocol.version}",
            "protocol.hash": asked.protocol.hash,
            **{f"protocol.{name}": value for name, value in asked.protocol.parameters().items()},
            **{f"conditions.{name}": value for name, value in asked.conditions.to_json().items()},
            "device": asked.device,
            "precision": asked.precision,
            "deterministic": request.deterministic or None,
            **{f"asked.{name}": getattr(request, name) for name in OF_REQUEST},
        }
        told = {name: _as_plain(value) for name, value in stated.items() if value not in (None, "", (), [], {})}
        plain: dict[str, Plain] = redacted(told)
        return plain

    def _dataset(self) -> Mapping[str, Any]:
        """Return what the document of a stored run says of its cells, or the cells themselves where there is none."""
        if self._found is not None:
            stored: dict[str, Any] = self._found.document["dataset"]
            return stored
        cells = self._asked.cells
        return {
            "name": cells.spec.name, "cells": len(cells), "cells_sha256": cells.sha256(),
            "groups": int(cells.table["group"].nunique()), "group_level": cells.group_level,
        }  # fmt: skip


def _as_plain(value: Any) -> Plain:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value if isinstance(value, str | bool | int | float) else str(value)
