"""k nearest neighbours by cosine, k and threshold chosen by grouped inner folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from mitozoo.errors import ProtocolError
from mitozoo.plugins.record import record
from mitozoo.protocols.directions import Rows, Vectors, centre_of, directions
from mitozoo.protocols.held_out import FIXED_THRESHOLD, hold_out, require_finite
from mitozoo.protocols.prediction import Floats, Prediction
from mitozoo.protocols.spec import Protocol
from mitozoo.statistics.metrics import best_threshold

if TYPE_CHECKING:
    from collections.abc import Sequence

TIE = 1e-12  # log losses this close are equal, and the larger k stays
SIMILARITIES_AT_ONCE = 2**24  # 64 MB


@record
class Knn(Protocol):
    """The share of positive cells among the k training cells whose embeddings point most alike (cosine).

    Nothing is trained. Embeddings are seen from the mean of the training cells (of each inner fold's own), since all
    cells of one tissue share a large part. Each neighbour has one vote, and one vote more is cast as the training cells
    are mixed: score = (positive neighbours + prevalence) / (k + 1), which lies between 0 and 1 and tends to the
    prevalence. k minimises the pooled held-out log loss of the inner folds, ties going to the larger k.

    Attributes:
        neighbours: numbers k to choose from, ascending; those beyond the cells of an inner fold are not tried.
        centred: whether the mean of the training cells is taken off first.
        fixed_neighbours: used, and flagged, where too few groups allow no inner folds.
    """

    kind: ClassVar[str] = "knn"

    neighbours: tuple[int, ...] = (1, 3, 5, 10, 20, 50, 100, 200)
    centred: bool = True
    fixed_neighbours: int = 20

    def validate(self) -> None:
        """Refuse numbers of neighbours that are not positive and ascending."""
        super().validate()
        if min((self.fixed_neighbours, *self.neighbours)) < 1 or list(self.neighbours) != sorted(set(self.neighbours)):
            raise ProtocolError(f"neighbours must be positive and ascending, not {self.neighbours}")
        if not self.neighbours:
            raise ProtocolError("there must be at least one number of neighbours to try")


def fit_knn(
    protocol: Knn,
    embeddings: Vectors,
    labels: npt.NDArray[np.int8],
    groups: npt.NDArray[np.str_],
    train: Rows,
    test: Rows,
    *,
    device: str = "cpu",
) -> Prediction:
    """Choose k on the drawn training rows and score the test rows; arguments as in `fit_linear_probe`.

    Raises:
        DataError: an embedding holds NaN or infinity.
    """
    require_finite(embeddings, train, test)
    parts, flags = hold_out(protocol, labels, groups, train)
    threshold, validation_scores = FIXED_THRESHOLD, np.empty(0)
    if parts:
        rests = [np.setdiff1d(train, part) for part in parts]
        fewest = min(map(len, rests))
        tried = [k for k in protocol.neighbours if k <= fewest] or [fewest]
        pairs = zip(rests, parts, strict=True)
        held_out = np.concatenate([_scores(protocol, embeddings, labels, *pair, tried, device) for pair in pairs], 1)
        truth = labels[np.concatenate(parts)]
        losses = -np.where(truth == 1, np.log(held_out), np.log1p(-held_out)).mean(1)
        chosen = int(np.flatnonzero(losses <= losses.min() + TIE)[-1])
        k, validation_scores = tried[chosen], held_out[chosen]
        threshold = best_threshold(validation_scores, truth)
        if chosen in (0, len(tried) - 1):
            flags.append("k at the edge of its grid")
    else:
        k = min(protocol.fixed_neighbours, len(train))
        flags.append(f"too few groups for inner folds: k fixed at {k}, threshold at {threshold:g}")
    return Prediction(
        test_scores=_scores(protocol, embeddings, labels, train, test, [k], device)[0],
        inner_parts=tuple(parts),
        validation_scores=validation_scores,
        threshold=threshold,
        selected={"k": k},
        converged=True,
        flags=tuple(flags),
    )


def _scores(
    protocol: Knn,
    embeddings: Vectors,
    labels: npt.NDArray[np.int8],
    fitted: Rows,
    scored: Rows,
    neighbours: Sequence[int],
    device: str,
) -> Floats:
    """Return the scores of rows (len(neighbours), len(scored)) for each k, from one search."""
    import torch

    centre = centre_of(embeddings, fitted) if protocol.centred else None
    known = torch.from_numpy(directions(embeddings, fitted, centre)).to(device)
    positive = torch.from_numpy(labels[fitted].astype(np.int64)).to(device)
    ks = np.array(neighbours)
    votes = np.empty((len(scored), len(ks)))
    chunk = max(1, SIMILARITIES_AT_ONCE // len(fitted))
    for start in range(0, len(scored), chunk):
        asked = torch.from_numpy(directions(embeddings, scored[start : start + chunk], centre)).to(device)
        nearest = (asked @ known.T).topk(int(ks[-1]), dim=1).indices
        votes[start : start + chunk] = positive[nearest].cumsum(1).cpu().numpy()[:, ks - 1]
    return np.ascontiguousarray(((votes + labels[fitted].mean()) / (ks + 1)).T)
