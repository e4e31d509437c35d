"""The training loop: resumable after each epoch, its best weights truly kept."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mitozoo.data.splits import held_out_parts
from mitozoo.errors import ModelError
from mitozoo.plugins.record import canonical_json
from mitozoo.protocols.checkpoint import Best, Checkpoint, Progress
from mitozoo.protocols.epoch import Epoch
from mitozoo.protocols.held_out import FIXED_THRESHOLD
from mitozoo.protocols.in_training import NetworkInTraining
from mitozoo.protocols.keeping import Keeper, on_processor
from mitozoo.protocols.prediction import Prediction
from mitozoo.statistics.metrics import best_threshold, domain_macro_auroc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from mitozoo.data.splits import Groups, Labels, Rows
    from mitozoo.protocols.network_training import NetworkTraining


class Training(NetworkInTraining):
    """Trains what a protocol chooses of an encoder, and a head, once for each learning rate; keeps the best weights.

    All randomness of an epoch follows from the seed and its number, so that a resumed training equals an undisturbed
    one. Without validation cells only the first learning rate is tried, and its last epoch is the best. The next epoch
    begins while a checkpoint is written.
    """

    keeper: Keeper | None = None

    @staticmethod
    def held_out(protocol: NetworkTraining, labels: Labels, groups: Groups, train: Rows) -> list[Rows]:
        """Return what of the drawn rows validates, the probe's first inner fold; nothing where none can be made."""
        folds, seed = protocol.inner_folds, protocol.split_seed
        return held_out_parts(labels, groups, train, kind=protocol.kind, folds=folds, seed=seed)

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """Those that are tried."""
        rates = self.protocol.learning_rates
        return rates if len(self.validation) else rates[:1]

    def run(
        self,
        path: Path,
        on_progress: Callable[[int, int], None],
        on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    ) -> Progress:
        """Train every trial, going on from the checkpoint at `path`, and restore the best weights into the network.

        Raises:
            ModelError: no trial ever had a validation loss.
        """
        checkpoint, epochs, trials = Checkpoint(path, self._identity()), self.protocol.epochs, len(self.learning_rates)
        saved = checkpoint.load()
        progress = saved[0] if saved else Progress()
        with Keeper(checkpoint) as self.keeper:
            while progress.trial < trials:
                rate = self.learning_rates[progress.trial]
                self._start(rate)
                if saved:
                    self._restore(saved[1])
                    saved = None
                while self._goes_on(progress, rate):
                    epoch = self._epoch(progress, rate)

                    def on_kept(epoch: Epoch = epoch, done: int = progress.trial * epochs + progress.epoch) -> None:
                        on_epoch(epoch)
                        on_progress(done, trials * epochs)

                    self.keeper.keep(progress, self._states(), on_kept)
                progress = progress.next_trial()
            self.keeper.wait()
        if progress.best is None:
            raise ModelError(
                f"training diverged at every learning rate of {', '.join(f'{rate:g}' for rate in self.learning_rates)}",
                hint="Use smaller ones: --set learning_rates=1e-5,3e-5.",
            )
        self.network.load_tuned_state(progress.best.weights)
        return progress

    def scores_by(self, weights: dict[str, npt.NDArray[Any]], rows: Rows) -> Prediction:
        """Return the scores (len(rows),) that an earlier training's weights give; nothing is trained or chosen."""
        self._start(self.learning_rates[0])
        self.network.load_tuned_state({name: torch.from_numpy(tensor) for name, tensor in weights.items()})
        scores = self.scores(rows)
        return Prediction(scores, (), np.empty(0), FIXED_THRESHOLD, {}, converged=True)

    def prediction(self, progress: Progress, parts: Sequence[Rows], test: Rows) -> Prediction:
        """Return the test scores of the best weights, which the network holds, and how all was chosen.

        Args:
            progress: of the training that has ended.
            parts: what was held out of its drawn rows.
            test: rows to score.
        """
        validation_scores, truth = self.scores(self.validation), self.labels[self.validation]
        flags = [] if parts else ["too few groups for a validation part: last epoch of the first learning rate"]
        flags += [f"training diverged at learning rate {rate:g}" for rate in progress.diverged]
        threshold = FIXED_THRESHOLD
        if len(np.unique(truth)) == 2:
            threshold = best_threshold(validation_scores, truth)
        else:
            flags.append(f"validation does not hold both classes: threshold {threshold:g}")
        return self._predicted(progress, test, tuple(parts), validation_scores, threshold, flags)

    def _predicted(
        self,
        progress: Progress,
        test: Rows,
        parts: tuple[Rows, ...],
        validation_scores: npt.NDArray[np.float64],
        threshold: float,
        flags: list[str],
    ) -> Prediction:
        assert progress.best is not None
        return Prediction(
            test_scores=self.scores(test),
            inner_parts=parts,
            validation_scores=validation_scores,
            threshold=threshold,
            selected=self._selected(progress.best),
            converged=True,
            flags=tuple(flags),
            tensors={name: tensor.numpy() for name, tensor in progress.best.weights.items()},
        )

    def _selected(self, best: Best) -> dict[str, Any]:
        return {
            "learning_rate": best.learning_rate,
            "epoch": best.epoch,
            "validation_log_loss": best.loss if len(self.validation) else None,
            "trials": len(self.learning_rates),
            "weights_sha256": best.sha256(),
            "trained_parameters": sum(parameter.numel() for parameter in self.network.trained_parameters()),
        }

    def _goes_on(self, progress: Progress, learning_rate: float) -> bool:
        waited = progress.epoch - progress.trial_epoch
        out_of_patience = waited >= self.protocol.patience
        return progress.epoch < self.protocol.epochs and not out_of_patience and learning_rate not in progress.diverged

    def _epoch(self, progress: Progress, learning_rate: float) -> Epoch:
        """Train an epoch, validate, and note in `progress` where that leads."""
        trained = self._train_epoch(progress.epoch, learning_rate)
        progress.epoch += 1
        if not math.isfinite(trained):
            progress.diverged += (learning_rate,)
            return Epoch(learning_rate, progress.epoch, trained)
        loss, auroc = self._validate(progress.epoch)
        self._judge(progress, learning_rate, loss)
        return Epoch(learning_rate, progress.epoch, trained, loss, auroc)

    def _validate(self, next_epoch: int) -> tuple[float | None, float | None]:
        """Return log loss and AUROC of the validation cells; None for what they cannot tell."""
        if not len(self.validation):
            return None, None
        chance = np.clip(self.scores(self.validation, self._draw(next_epoch).batches), 1e-12, 1 - 1e-12)
        truth = self.labels[self.validation]
        loss = float(-np.where(truth == 1, np.log(chance), np.log1p(-chance)).mean())
        auroc = domain_macro_auroc(chance, truth, np.zeros(len(truth))) if math.isfinite(loss) else math.nan
        return loss, auroc if math.isfinite(auroc) else None

    def _judge(self, progress: Progress, learning_rate: float, validated: float | None) -> None:
        """Compare this epoch with the best so far; without validation cells the last epoch is the best."""
        loss = -float(progress.epoch) if validated is None else validated
        if loss < progress.trial_loss:
            progress.trial_loss, progress.trial_epoch = loss, progress.epoch
        if loss < (progress.best.loss if progress.best else math.inf):
            progress.best = Best(learning_rate, progress.epoch, loss, on_processor(self.network.tuned_state()))

    def _after_step(self) -> None:
        """Tell of an epoch that is kept by now."""
        if self.keeper is not None:
            self.keeper.look()

    def _identity(self) -> str:
        rows = [self.fitted.tolist(), self.validation.tolist(), self.labels[self.fitted].tolist()]
        parts = [self.protocol.hash, rows, self.seed, self.precision]
        return hashlib.sha256(canonical_json(parts).encode()).hexdigest()
