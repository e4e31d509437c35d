"""Which function fits which kind of head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo.protocols.ammeling2026 import Ammeling2026Probe, fit_ammeling2026_probe
from mitozoo.protocols.knn import Knn, fit_knn
from mitozoo.protocols.linear_probe import LinearProbe, fit_linear_probe
from mitozoo.protocols.simpleshot import SimpleShot, fit_simpleshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitozoo.protocols.prediction import Prediction

#: Heads on frozen embeddings; all take the arguments of `fit_linear_probe`.
HEAD_FITS: dict[str, Callable[..., Prediction]] = {
    LinearProbe.kind: fit_linear_probe,
    Knn.kind: fit_knn,
    SimpleShot.kind: fit_simpleshot,
    Ammeling2026Probe.kind: fit_ammeling2026_probe,
}
#: Heads that take the embeddings as a tensor too, so that those on a GPU are sent there once.
TAKE_TENSORS = frozenset({LinearProbe.kind})
