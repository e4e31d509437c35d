"""The training loop: resumable after each epoch, its best weights truly kept."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mitozoo.errors import ModelError
from mitozoo.models.devices import autocast, place
from mitozoo.models.preprocessing import normalise, standardise
from mitozoo.plugins.record import canonical_json
from mitozoo.protocols.augmentation import augment
from mitozoo.protocols.checkpoint import Best, Checkpoint, Progress
from mitozoo.protocols.epoch import Epoch
from mitozoo.protocols.fetching import fetched
from mitozoo.protocols.held_out import FIXED_THRESHOLD
from mitozoo.protocols.prediction import Prediction
from mitozoo.protocols.tuned_network import TunedNetwork
from mitozoo.statistics.calibration import undo_sampling_prior
from mitozoo.statistics.metrics import domain_macro_auroc

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mitozoo.models.encoder import Encoder
    from mitozoo.protocols.fine_tune import NetworkTraining, PatchRows

Rows = npt.NDArray[np.int64]
SAMPLED_PREVALENCE = 0.5
MAX_GRADIENT_NORM = 1.0
SCORING_BATCH = 64


class Training:
    """Trains what a protocol chooses of an encoder, and a head, once for each learning rate; keeps the best weights.

    All randomness of an epoch follows from the seed and its number, so that a resumed training equals an undisturbed
    one. Without validation cells only the first learning rate is tried, and its last epoch is the best.
    """

    max_gradient_norm = MAX_GRADIENT_NORM

    def __init__(
        self,
        protocol: NetworkTraining,
        load: Callable[[], Encoder],
        patches: PatchRows,
        labels: npt.NDArray[np.int8],
        fitted: Rows,
        validation: Rows,
        seed: int,
        device: str,
        precision: str,
    ) -> None:
        self.protocol, self.load, self.patches, self.labels = protocol, load, patches, labels
        self.fitted, self.validation, self.seed = fitted, validation, seed
        self.device, self.precision = device, precision
        self.prevalence = float(labels[fitted].mean())
        self.steps = max(1, len(fitted) // protocol.batch_size)
        self.learning_rates = protocol.learning_rates if len(validation) else protocol.learning_rates[:1]

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
        checkpoint, epochs = Checkpoint(path, self._identity()), self.protocol.epochs
        saved = checkpoint.load()
        progress = saved[0] if saved else Progress()
        while progress.trial < len(self.learning_rates):
            rate = self.learning_rates[progress.trial]
            self._start(rate)
            if saved:
                self._restore(saved[1])
                saved = None
            while self._goes_on(progress, rate):
                trained = self._train_epoch(progress.epoch, rate)
                progress.epoch += 1
                loss, auroc = (None, None)
                if math.isfinite(trained):
                    loss, auroc = self._validate()
                    self._judge(progress, rate, loss)
                else:
                    progress.diverged += (rate,)
                checkpoint.save(progress, self._states())
                on_epoch(Epoch(rate, progress.epoch, trained, loss, auroc))
                on_progress(progress.trial * epochs + progress.epoch, len(self.learning_rates) * epochs)
            progress = progress.next_trial()
        if progress.best is None:
            raise ModelError(
                f"training diverged at every learning rate of {', '.join(f'{rate:g}' for rate in self.learning_rates)}",
                hint="Use smaller ones: --set learning_rates=1e-5,3e-5.",
            )
        self.network.load_tuned_state(progress.best.weights)
        return progress

    def scores(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Return the probability of the positive class (len(rows),), the sampler's prior undone."""
        self.network.eval()  # no_grad and not inference_mode: what a network caches in here must still be trainable
        margins = [torch.empty(0, device=self.device)]
        batches = [rows[start : start + SCORING_BATCH] for start in range(0, len(rows), SCORING_BATCH)]
        with torch.no_grad(), autocast(self.device, self.precision):
            margins.extend(
                self.network(normalise(self._middle(patches), self.preprocessing)).float()[:, 0]
                for patches in fetched(self.patches, batches, self.device)
            )
        scored = torch.cat(margins).cpu().numpy().astype(np.float64)  # at the end: each look waits for the device
        sampled = 1 / (1 + np.exp(-np.clip(scored, -700, 700)))
        return undo_sampling_prior(sampled, self.prevalence, SAMPLED_PREVALENCE)

    def scores_by(self, weights: dict[str, npt.NDArray[Any]], rows: Rows) -> Prediction:
        """Return the scores (len(rows),) that an earlier training's weights give; nothing is trained or chosen."""
        self._start(self.learning_rates[0])
        self.network.load_tuned_state({name: torch.from_numpy(tensor) for name, tensor in weights.items()})
        scores = self.scores(rows)
        return Prediction(scores, (), np.empty(0), FIXED_THRESHOLD, {}, converged=True)

    def _start(self, learning_rate: float) -> None:
        with torch.random.fork_rng(self._cuda_devices()):
            torch.manual_seed(self.seed)
            encoder = self.load()
            self.preprocessing = encoder.spec.preprocessing
            self.network = TunedNetwork(encoder, self.protocol.choose(encoder))
        place(self.network, self.device)
        trained = self.network.trained_parameters()
        matrices = [p for p in trained if p.ndim in (2, 4)]  # three dimensions have tokens and position embeddings
        others = [p for p in trained if p.ndim not in (2, 4)]
        groups = [
            {"params": matrices, "weight_decay": self.protocol.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        fused = torch.device(self.device).type == "cuda"
        self.optimiser = torch.optim.AdamW(groups, lr=learning_rate, fused=fused)
        self.scaler = torch.amp.GradScaler(torch.device(self.device).type, enabled=self.precision == "fp16")

    def _states(self) -> dict[str, Any]:
        """Return all that changes while training."""
        parts = {"optimiser": self.optimiser.state_dict(), "scaler": self.scaler.state_dict()}
        return parts | {"network": self.network.tuned_state()}

    def _restore(self, states: dict[str, Any]) -> None:
        self.network.load_tuned_state(states["network"])
        self.optimiser.load_state_dict(states["optimiser"])
        self.scaler.load_state_dict(states["scaler"])

    def _goes_on(self, progress: Progress, learning_rate: float) -> bool:
        waited = progress.epoch - progress.trial_epoch
        out_of_patience = waited >= self.protocol.patience
        return progress.epoch < self.protocol.epochs and not out_of_patience and learning_rate not in progress.diverged

    def _cuda_devices(self) -> list[torch.device]:
        device = torch.device(self.device)
        return [device] if device.type == "cuda" else []

    def _train_epoch(self, epoch: int, learning_rate: float) -> float:
        """Take an epoch's steps and return the mean loss; no finite number if any step's was none."""
        self.network.train()
        total = torch.zeros((), dtype=torch.float32, device=self.device)
        random = np.random.default_rng([self.seed, epoch])
        generator = torch.Generator().manual_seed(int(random.integers(2**62)))
        order, size = self._balanced_order(random), self.protocol.batch_size
        batches = [order[step * size : (step + 1) * size] for step in range(self.steps)]
        with torch.random.fork_rng(self._cuda_devices()):
            torch.manual_seed(int(random.integers(2**62)))  # dropout and stochastic depth
            for step, patches in enumerate(fetched(self.patches, batches, self.device)):
                self._set_rate(learning_rate, epoch * self.steps + step)
                images = self._view(patches.permute(0, 3, 1, 2).float() / 255, generator)
                target = torch.from_numpy(self.labels[batches[step]].astype(np.float32)).to(self.device)
                with autocast(self.device, self.precision):
                    margins = self.network(standardise(images, self.preprocessing))[:, 0]
                loss = torch.nn.functional.binary_cross_entropy_with_logits(margins.float(), target)
                total += loss.detach()  # looked at once an epoch: each look waits for the device
                self.optimiser.zero_grad(set_to_none=True)
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
                self.scaler.unscale_(self.optimiser)
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_gradient_norm)
                self.scaler.step(self.optimiser)
                self.scaler.update()
        return float(total) / self.steps

    def _view(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return a random view of each image (n, 3, size, size), from what is stored of and around it."""
        return augment(images, generator, self.preprocessing.size)

    def _balanced_order(self, random: np.random.Generator) -> Rows:
        """Return an epoch's rows, each class half of them; the rarer class repeats, none is left out for long."""
        count = self.steps * self.protocol.batch_size
        halves = []
        for label, size in ((1, count // 2), (0, count - count // 2)):
            rows = self.fitted[self.labels[self.fitted] == label]
            rounds = [random.permutation(rows) for _ in range(math.ceil(size / len(rows)))]
            halves.append(np.concatenate(rounds)[:size])
        return random.permutation(np.concatenate(halves))

    def _set_rate(self, peak: float, step: int) -> None:
        total = self.steps * self.protocol.epochs
        warm = max(1, round(self.protocol.warmup * total))
        decayed = 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
        for group in self.optimiser.param_groups:
            group["lr"] = peak * ((step + 1) / warm if step < warm else decayed)

    def _validate(self) -> tuple[float | None, float | None]:
        """Return log loss and AUROC of the validation cells; None for what they cannot tell."""
        if not len(self.validation):
            return None, None
        chance = np.clip(self.scores(self.validation), 1e-12, 1 - 1e-12)
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
            weights = {name: tensor.detach().cpu().clone() for name, tensor in self.network.tuned_state().items()}
            progress.best = Best(learning_rate, progress.epoch, loss, weights)

    def _middle(self, patches: Tensor) -> Tensor:
        """Return patches as a probe is shown them."""
        size = self.preprocessing.size
        margin = (patches.shape[1] - size) // 2
        return patches[:, margin : margin + size, margin : margin + size]

    def _identity(self) -> str:
        rows = [self.fitted.tolist(), self.validation.tolist(), self.labels[self.fitted].tolist()]
        parts = [self.protocol.hash, rows, self.seed, self.precision]
        return hashlib.sha256(canonical_json(parts).encode()).hexdigest()
