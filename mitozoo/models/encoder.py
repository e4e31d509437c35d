"""An encoder: a network and its pooling, checked against what its spec declares."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch

from mitozoo.errors import ModelError
from mitozoo.models.attention import fast_attention
from mitozoo.models.compiled import compiled
from mitozoo.models.devices import COMPILED, autocast
from mitozoo.models.loaders import build_network, load_network
from mitozoo.models.preprocessing import normalise
from mitozoo.models.requirements import require_packages
from mitozoo.plugins.sources import Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from mitozoo.plugins.model_spec import ModelSpec


class Encoder(torch.nn.Module):
    """Turns normalised patches into embeddings, as its spec says.

    Attributes:
        spec: what the plugin declared.
        network: the network itself, with gradients on.
        weights_sha256: of the weight file; 'function' for a load function, 'random-SEED' for an untrained network.
        flops: operations for one image, a multiply-add being two; None where they could not be counted.
    """

    def __init__(self, spec: ModelSpec, network: torch.nn.Module, weights_sha256: str) -> None:
        super().__init__()
        self.spec = spec
        self.network = network
        self.weights_sha256 = weights_sha256
        self.flops: int | None = None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed float (n, 3, size, size) as (n, embed_dim)."""
        pooling, prefix = self.spec.pooling, self.spec.prefix_tokens
        if pooling == "network":
            return self.network(images)
        features = getattr(self.network, "forward_features", self.network)(images)
        axes = ("n", "channels", "height", "width") if pooling == "gap" else ("n", "tokens", "channels")
        if features.ndim != len(axes):
            raise ModelError(
                f"model '{self.spec.name}': pooling '{pooling}' needs features of shape ({', '.join(axes)}), "
                f"but its network gives {tuple(features.shape)}"
            )
        if pooling == "gap":
            return features.mean(dim=(2, 3))
        if pooling == "cls":
            return features[:, 0]
        mean = features[:, prefix:].mean(dim=1)
        return mean if pooling == "mean" else torch.cat((features[:, 0], mean), dim=1)

    def launch(self, patches: torch.Tensor, precision: str, device: str) -> torch.Tensor:
        """Embed uint8 (n, size, size, 3) that lie on the device, without gradients.

        Args:
            patches: on the device.
            precision: 'fp32', 'fp16' or 'bf16' (see `autocast`), with '+compiled' behind to have torch.compile make the
                network.
            device: of the network.

        Returns:
            float32 (n, embed_dim) on the device, which a GPU may still be computing.

        Raises:
            ModelError: the network cannot be compiled.
        """
        images = normalise(patches, self.spec.preprocessing)
        forward = self._compiled if precision.endswith(COMPILED) else self
        with torch.inference_mode(), autocast(device, precision), fast_attention(device, precision):
            return forward(images).float()

    def embed(self, patches: torch.Tensor, precision: str, device: str) -> npt.NDArray[np.float32]:
        """Embed as `launch` does, and wait for the embeddings: float32 (n, embed_dim)."""
        return self.launch(patches, precision, device).cpu().numpy()

    @functools.cached_property
    def _compiled(self) -> Callable[[torch.Tensor], torch.Tensor]:
        return compiled(self.forward, self.spec.name)

    def parameter_count(self) -> int:
        """Return how many parameters the network has."""
        return sum(parameter.numel() for parameter in self.network.parameters())


def load_encoder(spec: ModelSpec, *, weights: Path | None = None) -> Encoder:
    """Load a spec's encoder on the CPU, in evaluation mode, and check it on one image.

    Args:
        spec: what a plugin declared.
        weights: the user's own copy of the weight file, in place of the one that the source would find.

    Raises:
        ModelError: it cannot be loaded, or its output or prefix tokens are not as declared.
    """
    require_packages(spec)
    network, sha256 = load_network(spec.load, file=weights)
    return _checked(Encoder(spec, network, sha256))


def random_encoder(spec: ModelSpec, seed: int) -> Encoder:
    """Return the encoder untrained, for the control that asks what the architecture alone is worth.

    Raises:
        ModelError: the spec's network cannot be built apart from its weights.
    """
    source = require_source(spec)
    require_packages(spec)
    return _checked(Encoder(spec, build_network(source, seed=seed), f"random-{seed}"))


def require_source(spec: ModelSpec) -> Source:
    """Return a spec's source. Raises `ModelError` where a load function makes network and weights in one."""
    if not isinstance(spec.load, Source):
        raise ModelError(f"model '{spec.name}' cannot be built without its weights")
    return spec.load


def _checked(encoder: Encoder) -> Encoder:
    """Compare what is declared with what is measured: prefix tokens, then the embedding of one image of noise."""
    encoder.eval()
    spec = encoder.spec
    prefix = getattr(encoder.network, "num_prefix_tokens", spec.prefix_tokens)
    if prefix != spec.prefix_tokens:
        raise ModelError(
            f"model '{spec.name}' declares {spec.prefix_tokens} prefix tokens, but its network has {prefix}"
        )

    size = spec.preprocessing.size
    noise = torch.randint(256, (1, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():  # not inference_mode: what a network caches in here must still be trainable
            embedding, encoder.flops = _counted(encoder, normalise(noise, spec.preprocessing))
    except ModelError:
        raise
    except Exception as error:  # a network may raise anything on an input that it was not made for
        raise ModelError(f"model '{spec.name}' fails on one image of {size} px: {error}") from error
    if not isinstance(embedding, torch.Tensor):
        raise ModelError(f"model '{spec.name}' gives a {type(embedding).__name__}, not a tensor of embeddings")
    if tuple(embedding.shape) != (1, spec.embed_dim):
        raise ModelError(
            f"model '{spec.name}' declares embeddings of {spec.embed_dim} values, "
            f"but one image gives shape {tuple(embedding.shape)}"
        )
    if not bool(embedding.isfinite().all()):
        raise ModelError(f"model '{spec.name}' gives embeddings that are not finite")
    return encoder


def _counted(encoder: Encoder, images: torch.Tensor) -> tuple[torch.Tensor, int | None]:
    """Embed images and count the operations; a network that the counter cannot follow is run without it."""
    from torch.utils.flop_counter import FlopCounterMode

    try:
        with FlopCounterMode(display=False) as counter:
            return encoder(images), int(counter.get_total_flops())
    except Exception:  # noqa: BLE001 - whatever the network itself raises, it raises again below
        return encoder(images), None
