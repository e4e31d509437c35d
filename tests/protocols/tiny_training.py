"""Networks small enough to be trained in a test, on patches whose class is plain to see."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import timm
import torch

from mitozoo.models.encoder import Encoder, load_encoder
from mitozoo.plugins.model_spec import ModelSpec
from mitozoo.plugins.preprocessing import Preprocessing
from mitozoo.protocols.fine_tune import EndToEnd, fit_network

if TYPE_CHECKING:
    from mitozoo.protocols.network_training import NetworkTraining
    from mitozoo.protocols.prediction import Prediction

SIZE = 12


class TinyNetwork(torch.nn.Module):
    """Convolution, batch norm, dropout, and a token, so that each kind of parameter and randomness is there."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 6, 3, stride=2)
        self.norm = torch.nn.BatchNorm2d(6)
        self.second = torch.nn.Conv2d(6, 6, 3)
        self.dropout = torch.nn.Dropout(0.2)
        self.token = torch.nn.Parameter(torch.zeros(1, 1, 4))
        self.projection = torch.nn.Linear(6, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.second(self.norm(self.convolution(images)).relu()).relu().mean((2, 3))
        return self.projection(self.dropout(features)) + self.token[:, 0]


def tiny_network() -> TinyNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return TinyNetwork()


PREPROCESSING = Preprocessing(
    size=SIZE, resize="none", resize_to=SIZE, interpolation="bilinear", antialias=True, mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25), mpp=None, mpp_basis="none",
)  # fmt: skip
SPEC = ModelSpec(
    name="tiny", load=tiny_network, preprocessing=PREPROCESSING, embed_dim=4, pooling="network", prefix_tokens=0,
    precision="fp32", license="MIT", reference="https://example.org",
)  # fmt: skip


def tiny_transformer() -> torch.nn.Module:
    """Return a vision transformer of two blocks, with dropout so that evaluation mode can be told from training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return timm.create_model(
            "vit_tiny_patch16_224", pretrained=False, img_size=SIZE, patch_size=4, depth=2, embed_dim=16, num_heads=2,
            num_classes=0, proj_drop_rate=0.1,
        )  # fmt: skip


TRANSFORMER = dataclasses.replace(
    SPEC, name="tiny-transformer", load=tiny_transformer, embed_dim=16, pooling="cls", prefix_tokens=1
)


class ResidualNetwork(torch.nn.Module):
    """Two blocks with batch norm, whose running statistics move with every patch in training mode."""

    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv2d(4, 4, 3, padding=1)
            self.norm = torch.nn.BatchNorm2d(4)

        def forward(self, features):
            return features + self.norm(self.convolution(features)).relu()

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        self.blocks = torch.nn.Sequential(self.Block(), self.Block())

    def forward(self, images):
        return self.blocks(self.stem(images)).mean((2, 3))


def residual_network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return ResidualNetwork()


RESIDUAL = dataclasses.replace(SPEC, name="residual", load=residual_network)


class NoWeights(torch.nn.Module):
    def forward(self, images):
        return torch.cat((images.mean((2, 3)), images.std((1, 2, 3))[:, None]), 1)


def no_weights():
    return NoWeights()


WEIGHTLESS = dataclasses.replace(SPEC, name="colours", load=no_weights)


def load() -> Encoder:
    return load_encoder(SPEC)


def load_transformer() -> Encoder:
    return load_encoder(TRANSFORMER)


def protocol(kind: type[NetworkTraining] = EndToEnd, **changes) -> NetworkTraining:
    settings = {"learning_rates": (3e-3,), "epochs": 4, "patience": 4, "batch_size": 8, "inner_folds": 3}
    return kind(name="tiny", version=1, title="", **settings | changes)


def cells(count: int = 60, rare: int = 3):
    """Patches (n, size, size, 3), labels and groups: positives have a dark spot in the middle."""
    random = np.random.default_rng(0)
    labels = (np.arange(count) % rare == 0).astype(np.int8)
    groups = np.array([f"slide-{index // 4:02}" for index in range(count)])
    patches = random.integers(120, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    patches[labels == 1, 3:9, 3:9] -= 80
    return patches, labels, groups


def fit(
    checkpoint: Path, *, encoder=None, on_progress=lambda done, total: None, on_epoch=lambda epoch: None,
    precision="fp32", seed=0, **changes,
) -> Prediction:  # fmt: skip
    """Train on three quarters of the cells; one thread, so that sums have one order everywhere."""
    patches, labels, groups = cells()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return fit_network(
            protocol(**changes), encoder or load, patches, labels, groups, np.arange(44), np.arange(44, 60), seed=seed,
            device="cpu", precision=precision, checkpoint=checkpoint, on_progress=on_progress, on_epoch=on_epoch,
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)


class Stopped(Exception):
    """Ends a training as a user's Ctrl-C would."""


def stop_after(epochs: int):
    def on_progress(done: int, total: int) -> None:
        if done == epochs:
            raise Stopped

    return on_progress


def same(one: Prediction, other: Prediction) -> None:
    """Assert that two fits are equal to the bit."""
    assert one.selected == other.selected
    assert (one.threshold, one.flags) == (other.threshold, other.flags)
    for name in ("test_scores", "validation_scores"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert one.tensors.keys() == other.tensors.keys()
    assert all(np.array_equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def kill_myself_after(epochs: int):
    def on_progress(done: int, total: int) -> None:
        if done == epochs:
            os.kill(os.getpid(), signal.SIGKILL)

    return on_progress


if __name__ == "__main__":
    fit(Path(sys.argv[1]), on_progress=kill_myself_after(int(sys.argv[2])), learning_rates=(1e-3, 3e-3))
