"""The training loop: resumable after each epoch, its best weights truly kept."""

from __future__ import annotations

import hashlib
import math
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mitozoo import storage
from mitozoo.errors import ModelError
from mitozoo.models.devices import autocast, place
from mitozoo.models.preprocessing import normalise, standardise
from mitozoo.plugins.record import canonical_json
from mitozoo.protocols.augmentation import augment
from mitozoo.statistics.calibration import undo_sampling_prior

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mitozoo.models.encoder import Encoder
    from mitozoo.protocols.fine_tune import EndToEnd

Rows = npt.NDArray[np.int64]
SAMPLED_PREVALENCE = 0.5
SCORING_BATCH = 64


@dataclass(frozen=True)
class Best:
    """The weights with the lowest validation log loss, copied to the CPU when they were met."""

    learning_rate: float
    epoch: int
    loss: float
    weights: dict[str, Tensor]

    def sha256(self) -> str:
        """Return a digest of the weights, so that what was tested can be told."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.weights.items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass
class _Progress:
    """Where the trials stand: what a checkpoint holds beside weights and optimiser."""

    trial: int = 0
    epoch: int = 0
    trial_epoch: int = 0
    trial_loss: float = math.inf
    best: Best | None = None


class Training:
    """Trains an encoder with a linear head once for each learning rate and keeps the best weights of all epochs.

    All randomness of an epoch follows from (seed, learning rate, epoch), so that a resumed training equals an
    undisturbed one.
    """

    def __init__(
        self,
        protocol: EndToEnd,
        load: Callable[[], Encoder],
        patches: npt.NDArray[np.uint8],
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

    def run(self, checkpoint: Path, on_progress: Callable[[int, int], None]) -> Best:
        """Train every trial, restore the best weights into the network, and return them."""
        protocol = self.protocol
        saved = self._saved(checkpoint)
        progress: _Progress = saved["progress"] if saved else _Progress()
        total = len(protocol.learning_rates) * protocol.epochs
        while progress.trial < len(protocol.learning_rates):
            rate = protocol.learning_rates[progress.trial]
            self._start(rate)
            if saved:
                self.network.load_state_dict(saved["network"])
                self.optimiser.load_state_dict(saved["optimiser"])
                saved = None
            while progress.epoch < protocol.epochs and progress.epoch - progress.trial_epoch < protocol.patience:
                self._train_epoch(progress.epoch, rate)
                progress.epoch += 1
                self._judge(progress, rate)
                self._save(checkpoint, progress)
                on_progress(progress.trial * protocol.epochs + progress.epoch, total)
            progress = _Progress(trial=progress.trial + 1, best=progress.best)
        best = progress.best
        if best is None:
            raise ModelError(
                f"training diverged at every learning rate of {protocol.learning_rates}",
                hint="Use smaller ones: --set learning_rates=1e-5,3e-5.",
            )
        self.network.load_state_dict(best.weights)
        checkpoint.unlink(missing_ok=True)
        return best

    def scores(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Return the probability of the positive class (len(rows),), the sampler's prior undone."""
        self.network.eval()
        margins = [np.empty(0)]
        with torch.inference_mode(), autocast(self.device, self.precision):
            for start in range(0, len(rows), SCORING_BATCH):
                images = normalise(self._images(rows[start : start + SCORING_BATCH]), self.preprocessing)
                margins.append(self.network(images).float().cpu().numpy()[:, 0].astype(np.float64))
        sampled = 1 / (1 + np.exp(-np.clip(np.concatenate(margins), -700, 700)))
        return undo_sampling_prior(sampled, self.prevalence, SAMPLED_PREVALENCE)

    def _start(self, learning_rate: float) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            encoder = self.load()
            self.preprocessing = encoder.spec.preprocessing
            head = torch.nn.Linear(encoder.spec.embed_dim, 1)
            torch.nn.init.trunc_normal_(head.weight, std=0.01)
            torch.nn.init.zeros_(head.bias)
        self.network = torch.nn.Sequential()
        self.network.add_module("encoder", encoder)
        self.network.add_module("head", head)
        place(self.network, self.device)
        matrices = [p for p in self.network.parameters() if p.requires_grad and p.ndim > 1]
        others = [p for p in self.network.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": self.protocol.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=learning_rate)

    def _train_epoch(self, epoch: int, learning_rate: float) -> None:
        self.network.train()
        random = np.random.default_rng([self.seed, epoch])
        generator = torch.Generator().manual_seed(int(random.integers(2**62)))
        order = self._balanced_order(random)
        with torch.random.fork_rng():
            torch.manual_seed(int(random.integers(2**62)))  # dropout and stochastic depth
            for step in range(self.steps):
                rows = order[step * self.protocol.batch_size : (step + 1) * self.protocol.batch_size]
                self._set_rate(learning_rate, epoch * self.steps + step)
                images = augment(self._images(rows).permute(0, 3, 1, 2).float() / 255, generator)
                target = torch.from_numpy(self.labels[rows].astype(np.float32)).to(self.device)
                with autocast(self.device, self.precision):
                    margins = self.network(standardise(images, self.preprocessing))[:, 0]
                loss = torch.nn.functional.binary_cross_entropy_with_logits(margins.float(), target)
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
                self.optimiser.step()

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

    def _judge(self, progress: _Progress, learning_rate: float) -> None:
        """Compare this epoch with the best so far; without validation cells the last epoch is the best."""
        if len(self.validation):
            chance = np.clip(self.scores(self.validation), 1e-12, 1 - 1e-12)
            truth = self.labels[self.validation]
            loss = float(-np.where(truth == 1, np.log(chance), np.log1p(-chance)).mean())
        else:
            loss = -float(progress.epoch)
        if loss < progress.trial_loss:
            progress.trial_loss, progress.trial_epoch = loss, progress.epoch
        if loss < (progress.best.loss if progress.best else math.inf):
            weights = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}
            progress.best = Best(learning_rate, progress.epoch, loss, weights)

    def _images(self, rows: Rows) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self.patches[rows])).to(self.device)

    def _identity(self) -> str:
        """Name what is trained, so that a checkpoint of anything else is never resumed."""
        parts = [self.protocol.hash, self.fitted.tolist(), self.validation.tolist(), self.seed, self.precision]
        return hashlib.sha256(canonical_json(parts).encode()).hexdigest()

    def _save(self, checkpoint: Path, progress: _Progress) -> None:
        best = progress.best
        content: dict[str, Any] = {
            "identity": self._identity(),
            "progress": [progress.trial, progress.epoch, progress.trial_epoch, progress.trial_loss],
            "best": [best.learning_rate, best.epoch, best.loss, best.weights] if best else None,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        with storage.write_whole(checkpoint) as unfinished:
            torch.save(content, unfinished)

    def _saved(self, checkpoint: Path) -> dict[str, Any] | None:
        try:
            content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError):
            return None
        if content.get("identity") != self._identity():
            return None
        progress = _Progress(*content["progress"])
        progress.best = Best(*content["best"]) if content["best"] else None
        return content | {"progress": progress}
