"""SimpleShot: the nearer of two class means, the k-free sibling of k nearest neighbours."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from mitozoo.errors import ProtocolError
from mitozoo.plugins.record import record
from mitozoo.protocols.directions import Rows, Vectors, centre_of, directions
from mitozoo.protocols.held_out import FIXED_THRESHOLD, hold_out, require_finite
from mitozoo.protocols.prediction import Floats, Prediction
from mitozoo.protocols.spec import Protocol
from mitozoo.statistics.metrics import best_threshold

ROWS_AT_ONCE = 4096


@record
class SimpleShot(Protocol):
    """How much nearer a cell lies to the mean of the positive training cells than to that of the negative ones.

    Embeddings are centred on the mean of the training cells and divided by their lengths (CL2N of Wang et al. 2019);
    nothing is trained or chosen but the threshold. Score = sigmoid(scale x (distance to the negative mean - distance to
    the positive mean)), Euclidean; 0.5 is where both are equal, whatever the prevalence.

    Attributes:
        scale: how fast the score leaves 0.5; it moves no order and no threshold's effect.
    """

    kind: ClassVar[str] = "simpleshot"

    scale: float = 10.0

    def validate(self) -> None:
        """Refuse a scale that would turn or flatten the scores."""
        super().validate()
        if not 0 < self.scale <= 100:
            raise ProtocolError(f"scale is {self.scale}; it must be above 0 and at most 100")


def fit_simpleshot(
    protocol: SimpleShot,
    embeddings: Vectors,
    labels: npt.NDArray[np.int8],
    groups: npt.NDArray[np.str_],
    train: Rows,
    test: Rows,
    *,
    device: str = "cpu",  # noqa: ARG001 - two means need no accelerator
) -> Prediction:
    """Take both means over the drawn training rows and score the test rows; arguments as in `fit_linear_probe`.

    Raises:
        DataError: an embedding holds NaN or infinity.
    """
    require_finite(embeddings, train, test)
    parts, flags = hold_out(protocol, labels, groups, train)
    threshold, validation_scores = FIXED_THRESHOLD, np.empty(0)
    if parts:
        means = [_Means(embeddings, labels, np.setdiff1d(train, part)) for part in parts]
        scores = [each.scores(embeddings, part, protocol.scale) for each, part in zip(means, parts, strict=True)]
        validation_scores = np.concatenate(scores)
        threshold = best_threshold(validation_scores, labels[np.concatenate(parts)])
    else:
        flags.append(f"too few groups for inner folds: threshold fixed at {threshold:g}")
    fitted = _Means(embeddings, labels, train)
    return Prediction(
        test_scores=fitted.scores(embeddings, test, protocol.scale),
        inner_parts=tuple(parts),
        validation_scores=validation_scores,
        threshold=threshold,
        selected={},
        converged=True,
        flags=tuple(flags),
        tensors={"centre": fitted.centre, "means": fitted.means},
    )


class _Means:
    """The mean directions (2, d) of the negative and the positive cells of some rows."""

    def __init__(self, embeddings: Vectors, labels: npt.NDArray[np.int8], rows: Rows) -> None:
        self.centre = centre_of(embeddings, rows)
        found = directions(embeddings, rows, self.centre)
        self.means = np.stack([found[labels[rows] == label].mean(0, dtype=np.float64) for label in (0, 1)])

    def scores(self, embeddings: Vectors, rows: Rows, scale: float) -> Floats:
        """Return the score of each row (len(rows),)."""
        closer = [np.empty(0)]
        for start in range(0, len(rows), ROWS_AT_ONCE):
            seen = directions(embeddings, rows[start : start + ROWS_AT_ONCE], self.centre)
            negative, positive = (np.linalg.norm(seen - mean, axis=1) for mean in self.means)
            closer.append(negative - positive)
        return 1 / (1 + np.exp(-scale * np.concatenate(closer)))
