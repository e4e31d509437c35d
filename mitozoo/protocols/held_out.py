"""What all heads on frozen embeddings do alike: look at their input, and hold out whole groups of training cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mitozoo.data.splits import Groups, Labels, Rows, held_out_parts
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from mitozoo.protocols.spec import Protocol

#: Used, and flagged, where nothing can be held out that holds both classes.
FIXED_THRESHOLD = 0.5
BLOCK = 2**18  # rows whose embeddings are copied at a time


def require_finite(embeddings: npt.NDArray[np.float32] | Tensor, *rows: Rows) -> None:
    """Raise `DataError` where an embedding holds NaN or infinity."""
    if isinstance(embeddings, np.ndarray):
        finite: Callable[..., Any] = np.isfinite
    else:
        from torch import isfinite as finite
    if not all(finite(embeddings[some]).all() for part in rows for some in blocks_of(part)):
        raise DataError("the embeddings hold values that are not finite", hint="Embed again, with --precision fp32.")


def blocks_of(rows: Rows) -> list[Rows]:
    """Return rows, some hundred thousand at a time: their embeddings need not be copied all at once."""
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)] or [rows]


def hold_out(protocol: Protocol, labels: Labels, groups: Groups, train: Rows) -> tuple[list[Rows], list[str]]:
    """Return the parts of the training rows that a protocol holds out, and a flag where they are fewer than it asks."""
    wanted = protocol.inner_folds
    parts = held_out_parts(labels, groups, train, kind=protocol.kind, folds=wanted, seed=protocol.split_seed)
    return parts, [f"{len(parts)} inner folds instead of {wanted}"] if len(parts) < wanted else []
