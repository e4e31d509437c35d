"""What networks cost, kept once they were loaded, since most calls find all embeddings cached and load none."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from mitozoo import storage
from mitozoo.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.models.encoder import Encoder

COUNTER = "torch.utils.flop_counter, for one patch; a multiply-add is two operations"


def remember_cost(fingerprint: str, encoder: Encoder) -> None:
    """Keep what a loaded network costs, for every later call that finds all embeddings cached and loads none."""
    cost = {
        "parameters": encoder.parameter_count(),
        "gflops": None if encoder.flops is None else encoder.flops / 1e9,
        "counted_by": COUNTER,
    }
    with contextlib.suppress(StorageError), storage.write_whole(_path(fingerprint)) as unfinished:  # only a memo
        unfinished.write_text(json.dumps(cost), encoding="utf-8")


def known_cost(fingerprint: str) -> dict[str, Any]:
    """Return 'parameters', 'gflops' a patch and 'counted_by'; empty where the network was never loaded here."""
    try:
        found = json.loads(_path(fingerprint).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _path(fingerprint: str) -> Path:
    return storage.home() / "costs" / f"{fingerprint}.json"
