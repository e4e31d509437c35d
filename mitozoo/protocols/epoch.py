"""What a training tells after each of its epochs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """One epoch of one trial, as it went.

    Attributes:
        learning_rate: the trial's, at its peak.
        number: from 1; a resumed training tells only those that it trains itself.
        training_loss: mean over the steps; no finite number where the trial diverged.
        validation_loss: mean log loss; None where it diverged or there are no validation cells.
        validation_auroc: None also where these hold one class only.
    """

    learning_rate: float
    number: int
    training_loss: float
    validation_loss: float | None = None
    validation_auroc: float | None = None
