"""What every protocol's fit returns: scores for the test cells, and all that was chosen on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Prediction:
    """One fit's scores and choices.

    Attributes:
        test_scores: (n_test,) probability of the positive class, in the order of the test rows.
        inner_parts: disjoint rows held out inside the training cells; validation is their union, in this order.
        validation_scores: (n_validation,) scores of those rows by fits that did not see them.
        threshold: chosen on the validation scores; scores at or above it are called positive.
        selected: what was chosen on validation, such as {'lambda': 1.0}.
        converged: whether the solver reached its tolerance, or training was not cut short.
        flags: what a careful reader should know of this fit.
        tensors: the fitted head and what it needs, by name.
    """

    test_scores: Floats
    inner_parts: tuple[Rows, ...]
    validation_scores: Floats
    threshold: float
    selected: dict[str, Any]
    converged: bool
    flags: tuple[str, ...] = ()
    tensors: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
