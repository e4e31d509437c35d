"""Mettle of slideflow labs: H-optimus-0 trained further, with a small head that refines the class token."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

if TYPE_CHECKING:
    import torch


def refined_h_optimus(
    architecture: str = "vit_giant_patch14_reg4_dinov2", atoms: int = 16, rank: int = 8, hidden: int = 256
) -> torch.nn.Module:
    """Build the untrained network: tokens of a vision transformer, of which the first is refined.

    Args:
        architecture: timm's name of the backbone.
        atoms: number of low-rank maps that the head mixes.
        rank: of each map.
        hidden: width of the two small networks that choose the mixture and the shift.
    """
    import timm
    import torch
    from torch import nn

    class RefineHead(nn.Module):
        """Adds to a token a mixture, chosen by the token itself, of low-rank maps of it, and a shift."""

        def __init__(self, dim: int) -> None:
            super().__init__()
            self.P = nn.Parameter(torch.zeros(atoms, dim, rank))
            self.Q = nn.Parameter(torch.zeros(atoms, dim, rank))
            self.mix = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, atoms))
            self.shift = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

        def forward(self, token: torch.Tensor) -> torch.Tensor:
            mapped = torch.einsum("nd,kdr,ker->nke", token, self.P, self.Q)
            return token + torch.einsum("nk,nke->ne", self.mix(token), mapped) + self.shift(token)

    class RefinedTokens(nn.Module):
        """Gives float32 tokens (n, tokens, channels)."""

        def __init__(self) -> None:
            super().__init__()
            self.backbone = timm.create_model(architecture, img_size=224, init_values=1e-5, num_classes=0)
            self.head = RefineHead(self.backbone.num_features)
            self.num_prefix_tokens = self.backbone.num_prefix_tokens

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens = self.backbone.forward_features(images).float()
            device = "cpu" if images.is_meta else images.device.type  # meta tensors know no autocast
            with torch.autocast(device, enabled=False):  # as the authors do: only the backbone is fp16
                return torch.cat((self.head(tokens[:, 0])[:, None], tokens[:, 1:]), dim=1)

    return RefinedTokens()


METTLE = ModelSpec(
    name="mettle",
    title="Mettle, ViT-g/14 with 4 registers, refined class token and mean of patch tokens",
    load=Checkpoint(
        architecture=refined_h_optimus,  # in place of the repository's own code; the file's keys are the same
        kwargs={},
        repo="slideflow-labs/Mettle",
        revision=None,
        filename="model.safetensors",
        url="",
        sha256="7754ef463e79dd13b072247b56db39791c884db10774e354d76f76367093ce4a",
        entry="",
        strip_prefix="",
        rename={},
        drop=(),
    ),
    preprocessing=Preprocessing(
        size=224, resize="none", resize_to=224, interpolation="bicubic", antialias=True,
        mean=(0.707223, 0.578729, 0.703617), std=(0.211883, 0.230117, 0.177517),
        mpp=0.5, mpp_basis="convention",  # that of H-optimus-0
    ),
    embed_dim=3072, pooling="cls+mean", prefix_tokens=5, precision="fp16",  # as the card's benchmarks pool
    license="CC-BY-NC-ND-4.0",
    reference="https://huggingface.co/slideflow-labs/Mettle",
    parameters=1_136_353_296,
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    # Known from one tool (slide2vec 7.1.4) that loads the published file strictly.
    unverified=(
        "load.architecture", "load.sha256", "precision", "license", "preprocessing.resize",
        "preprocessing.interpolation", "preprocessing.mean", "preprocessing.std", "preprocessing.mpp",
    ),
)  # fmt: skip

METTLE_CLS = dataclasses.replace(
    METTLE,
    name="mettle-cls",
    title="Mettle, ViT-g/14 with 4 registers, refined class token",
    embed_dim=1536,
    pooling="cls",
)


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer it in both poolings."""
    return [METTLE, METTLE_CLS]
