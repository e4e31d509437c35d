"""A network in training: one step after another, and what it scores on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mitozoo.models.devices import autocast, place, send
from mitozoo.models.preprocessing import normalise, standardise
from mitozoo.protocols.augmentation import augment
from mitozoo.protocols.fetching import Reader
from mitozoo.protocols.sampling import Draw, classes_alike
from mitozoo.protocols.schedule import make_optimiser, warm_cosine
from mitozoo.protocols.tuned_network import TunedNetwork
from mitozoo.statistics.calibration import undo_sampling_prior

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mitozoo.data.splits import Groups, Labels, Rows
    from mitozoo.models.encoder import Encoder
    from mitozoo.protocols.network_training import NetworkTraining, PatchRows

SAMPLED_PREVALENCE = 0.5
MAX_GRADIENT_NORM = 1.0
SCORING_BATCH = 64


class NetworkInTraining:
    """What a protocol trains of an encoder, with a head, its optimiser, and the patches that it sees.

    The device never waits for the disk: batches are read ahead, from training into validation and on into the next
    epoch. Between steps the processor never waits for the device.
    """

    max_gradient_norm = MAX_GRADIENT_NORM

    def __init__(
        self,
        protocol: NetworkTraining,
        load: Callable[[], Encoder],
        patches: PatchRows,
        labels: Labels,
        groups: Groups,
        fitted: Rows,
        validation: Rows,
        seed: int,
        device: str,
        precision: str,
    ) -> None:
        self.protocol, self.load, self.patches, self.labels, self.groups = protocol, load, patches, labels, groups
        self.fitted, self.validation, self.seed = fitted, validation, seed
        self.device, self.precision = device, precision
        self.prevalence = float(labels[fitted].mean())
        self.steps = max(1, len(fitted) // protocol.batch_size)
        self.reader = Reader(patches, device)
        self._drawn: Draw | None = None

    def _start(self, learning_rate: float) -> None:
        with torch.random.fork_rng(self._cuda_devices()):
            torch.manual_seed(self.seed)
            encoder = self.load()
            self.preprocessing = encoder.spec.preprocessing
            self.network = TunedNetwork(encoder, self.protocol.choose(encoder))
        place(self.network, self.device)
        trained = self.network.trained_parameters()
        self.optimiser = make_optimiser(trained, learning_rate, self.protocol.weight_decay)
        self.scaler = torch.amp.GradScaler(torch.device(self.device).type, enabled=self.precision == "fp16")

    def _states(self) -> dict[str, Any]:
        """Return all that changes while training."""
        return {
            "network": self.network.tuned_state(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def _restore(self, states: dict[str, Any]) -> None:
        self.network.load_tuned_state(states["network"])
        self.optimiser.load_state_dict(states["optimiser"])
        self.scaler.load_state_dict(states["scaler"])

    def scores(self, rows: Rows, then: Sequence[Rows] = ()) -> npt.NDArray[np.float64]:
        """Return the probability of the positive class (len(rows),), the sampler's prior undone.

        Args:
            rows: of the patches to score.
            then: batches that are likely to be read next.
        """
        self.network.eval()  # no_grad and not inference_mode: what a network caches in here must still be trainable
        margins = [torch.empty(0, device=self.device)]
        with torch.no_grad(), autocast(self.device, self.precision):
            margins.extend(
                self.network(normalise(self._middle(patches), self.preprocessing)).float()[:, 0]
                for patches in self.reader.read(_in_batches(rows), then)
            )
        scored = torch.cat(margins).cpu().numpy().astype(np.float64)  # at the end: each look waits for the device
        sampled = 1 / (1 + np.exp(-np.clip(scored, -700, 700)))
        return undo_sampling_prior(sampled, self.prevalence, SAMPLED_PREVALENCE)

    def _train_epoch(self, epoch: int, learning_rate: float) -> float:
        """Take an epoch's steps and return the mean loss; no finite number if any step's was none."""
        self.network.train()
        total = torch.zeros((), dtype=torch.float32, device=self.device)
        draw = self._draw(epoch)
        then = _in_batches(self.validation) or self._draw(epoch + 1).batches
        generator = torch.Generator().manual_seed(draw.view_seed)
        truth = [torch.from_numpy(self.labels[rows].astype(np.float32)) for rows in draw.batches]
        targets = send(torch.stack(truth), self.device)
        with torch.random.fork_rng(self._cuda_devices()):
            torch.manual_seed(draw.network_seed)
            for step, patches in enumerate(self.reader.read(draw.batches, then)):
                self._set_rate(learning_rate, epoch * self.steps + step)
                images = self._view(patches.permute(0, 3, 1, 2).float() / 255, generator)
                with autocast(self.device, self.precision):
                    margins = self.network(standardise(images, self.preprocessing))[:, 0]
                loss = torch.nn.functional.binary_cross_entropy_with_logits(margins.float(), targets[step])
                total += loss.detach()  # looked at once an epoch: each look waits for the device
                self.optimiser.zero_grad(set_to_none=True)
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
                self.scaler.unscale_(self.optimiser)
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_gradient_norm)
                self.scaler.step(self.optimiser)
                self.scaler.update()
                self._after_step()
        return float(total) / self.steps

    def _draw(self, epoch: int) -> Draw:
        """Return what is left to chance in an epoch."""
        if self._drawn is None or self._drawn.epoch != epoch:
            random = np.random.default_rng([self.seed, epoch])
            view_seed = int(random.integers(2**62))
            batches = np.split(self._balanced_order(random), self.steps)
            self._drawn = Draw(epoch, batches, view_seed, network_seed=int(random.integers(2**62)))
        return self._drawn

    def _after_step(self) -> None:
        """Do what is due between two steps."""

    def _view(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return a random view of each image (n, 3, size, size), from what is stored of and around it."""
        return augment(images, generator, self.preprocessing.size)

    def _balanced_order(self, random: np.random.Generator) -> Rows:
        """Return an epoch's rows."""
        return classes_alike(self.fitted, self.labels, self.steps * self.protocol.batch_size, random)

    def _set_rate(self, peak: float, step: int) -> None:
        rate = warm_cosine(peak, step, self.steps * self.protocol.epochs, self.protocol.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def _middle(self, patches: Tensor) -> Tensor:
        """Return patches as a probe is shown them."""
        size = self.preprocessing.size
        margin = (patches.shape[1] - size) // 2
        return patches[:, margin : margin + size, margin : margin + size]

    def _cuda_devices(self) -> list[torch.device]:
        device = torch.device(self.device)
        return [device] if device.type == "cuda" else []


def _in_batches(rows: Rows) -> list[Rows]:
    return [rows[start : start + SCORING_BATCH] for start in range(0, len(rows), SCORING_BATCH)]
