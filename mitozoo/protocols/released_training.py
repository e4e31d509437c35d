"""The training loop with the sampling, schedule, augmentation and choice of weights of a study's released code."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mitozoo.protocols.ammeling2026 import kept_rows
from mitozoo.protocols.ammeling2026_tuning import Ammeling2026Tuning
from mitozoo.protocols.held_out import FIXED_THRESHOLD
from mitozoo.protocols.in_training import SAMPLED_PREVALENCE
from mitozoo.protocols.sampling import groups_alike
from mitozoo.protocols.schedule import one_cycle
from mitozoo.protocols.training import Training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.data.splits import Groups, Labels, Rows
    from mitozoo.protocols.checkpoint import Best, Progress
    from mitozoo.protocols.network_training import NetworkTraining
    from mitozoo.protocols.prediction import Prediction

CLIPPED_NORM = 0.1


class ReleasedTraining(Training):
    """Trains as the released code does; see `Ammeling2026Tuning`.

    Attributes:
        lowest_epoch: the epoch with the lowest validation log loss, which may not be the tested one.
    """

    protocol: Ammeling2026Tuning

    def __init__(self, protocol: Ammeling2026Tuning, *given: Any) -> None:
        super().__init__(protocol, *given)
        self.lowest_epoch = 0
        self.steps = protocol.pseudo_epoch // protocol.batch_size
        self.prevalence = SAMPLED_PREVALENCE  # the sampler's prior is left in the scores
        self.max_gradient_norm = CLIPPED_NORM if protocol.clipped else math.inf

    @staticmethod
    def held_out(protocol: NetworkTraining, labels: Labels, groups: Groups, train: Rows) -> list[Rows]:  # noqa: ARG004
        """Return a random share of the drawn rows, of whatever groups, or nothing where a class would be gone."""
        assert isinstance(protocol, Ammeling2026Tuning)
        validation = np.setdiff1d(train, kept_rows(train, labels, protocol.validated, protocol.split_seed))
        return [validation] if len(validation) else []

    def prediction(self, progress: Progress, parts: Sequence[Rows], test: Rows) -> Prediction:
        """Return the test scores of the kept weights; the threshold is fixed, and chosen by nothing."""
        flags = [] if parts else ["too few cells to validate on"]
        flags += ["training diverged"] if progress.diverged else []
        return self._predicted(progress, test, (), np.empty(0), FIXED_THRESHOLD, flags)

    def _selected(self, best: Best) -> dict[str, Any]:
        lowest = self.lowest_epoch if len(self.validation) else None
        more = {"lowest_validation_log_loss_in_epoch": lowest, "cells_fitted": len(self.fitted)}
        return super()._selected(best) | more

    def _goes_on(self, progress: Progress, learning_rate: float) -> bool:
        self.lowest_epoch = progress.trial_epoch
        if self.protocol.early_stopping:
            return super()._goes_on(progress, learning_rate)
        return progress.epoch < self.protocol.epochs and learning_rate not in progress.diverged

    def _judge(self, progress: Progress, learning_rate: float, validated: float | None) -> None:
        if self.protocol.tested == "last":
            progress.best = None  # so that this epoch's weights are kept whatever was before
        super()._judge(progress, learning_rate, validated)

    def _balanced_order(self, random: np.random.Generator) -> Rows:
        """Return a pseudo-epoch's rows."""
        return groups_alike(self.fitted, self.labels, self.groups, self.steps * self.protocol.batch_size, random)

    def _set_rate(self, peak: float, step: int) -> None:
        rate, momentum = peak, 0.9
        if self.protocol.one_cycle:
            rate, momentum = one_cycle(peak, step, self.steps * self.protocol.epochs, self.protocol.warmup)
        for group in self.optimiser.param_groups:
            group["lr"], group["betas"] = rate, (momentum, group["betas"][1])

    def _view(self, images: Tensor, generator: torch.Generator) -> Tensor:
        from torchvision.transforms import v2

        size = self.preprocessing.size
        margin = (images.shape[-1] - size) // 2
        reach = min(margin, round(self.protocol.jitter * size))
        corners = margin + torch.randint(-reach, reach + 1, (len(images), 2), generator=generator)
        change = v2.Compose([
            v2.RandomApply([v2.ColorJitter(0.1, 0.1, 0.1, 0.1)], p=0.5),
            v2.RandomApply([v2.GaussianBlur(5, (0.1, 1.0))], p=0.1),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomApply([v2.RandomRotation(180)], p=0.5),
        ])  # fmt: skip
        pairs = zip(images, corners.tolist(), strict=True)
        return torch.stack([change(image[:, top : top + size, left : left + size]) for image, (top, left) in pairs])
