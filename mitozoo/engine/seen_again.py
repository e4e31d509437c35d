"""Find the windows of a stored run again, so that its cells can be looked at: the very same pixels, or none."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.engine.request import Request
from mitozoo.engine.seen import see
from mitozoo.engine.subject import RegisteredModel
from mitozoo.errors import DataError, VerificationError
from mitozoo.plugins.registry import load_registry
from mitozoo.protocols.presets import find_protocol
from mitozoo.protocols.spec import override

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mitozoo.data.patches import PatchPlan

UNTRAINED = ":random-init"


def see_again(document: dict[str, Any], cell_ids: Sequence[str], data: Path | None) -> PatchPlan:
    """Return the window of each cell of a run, in the order of its cell table.

    Args:
        document: the run's result document.
        cell_ids: of its cell table.
        data: the dataset's folder; None: the one that was fetched, or that the dataset makes itself.

    Raises:
        MitozooError: the model or the dataset is not at hand, or its files show other pixels than the run saw.
    """
    dataset, model, protocol = (document[part] for part in ("dataset", "model", "protocol"))
    conditions = document["conditions"]
    if dataset.get("tested_on"):
        raise DataError("windows of joined datasets are not found again")
    if document["identity"]["pipeline"] is None:
        raise DataError("the embeddings were brought along, without windows")
    preset = re.split(r"[@+]", protocol["name"])[0]
    own = find_protocol(preset).parameters()
    changed = {key: value for key, value in protocol["parameters"].items() if key in own and value != own[key]}
    request = Request(
        model=model["name"].removesuffix(UNTRAINED), dataset=dataset["name"], data=data, protocol=preset,
        settings=changed, negatives=dataset["negatives"], crop_um=conditions["crop_um"], stain=conditions["stain"],
        group="image" if dataset["group_level"] == "image" else "", skip_unreadable=True,
    )  # fmt: skip
    registered = load_registry().model(request.model or "")  # what a document names is looked up, never opened or run
    seen = see(request, RegisteredModel(registered), override(find_protocol(preset), request.settings))
    assert seen.plan is not None
    ids = seen.cells.table["cell_id"].to_numpy(dtype=np.str_)
    wanted = np.asarray(cell_ids, dtype=np.str_)
    rows = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    if not np.array_equal(ids[rows], wanted):
        raise VerificationError(f"the files of dataset '{dataset['name']}' lack cells of the run")
    plan = seen.plan.take(rows.astype(np.int64))
    if hashlib.sha256(plan.row_keys().tobytes()).hexdigest() != document["identity"]["windows"]:
        raise VerificationError(f"the files of dataset '{dataset['name']}' show other pixels than the run saw")
    return plan
