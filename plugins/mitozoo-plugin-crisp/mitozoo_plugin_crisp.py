"""CRISP, for frozen sections: Virchow2 with low-rank adapters, class token and mean of the patch tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

if TYPE_CHECKING:
    import torch

# The published crisp.py: LoraConfig(r=8, lora_alpha=16, target_modules=["attn.qkv", "attn.proj"]).
RANK, ALPHA = 8, 16


def adapted_virchow2(embed_dim: int = 1280, depth: int = 32, num_heads: int = 16) -> torch.nn.Module:
    """Build Virchow2's network untrained, with an adapter at each attention's two linear layers."""
    import timm
    from timm.layers import SwiGLUPacked
    from torch import nn

    class Adapted(nn.Linear):
        """A linear layer and its adapter: Wx + b + (alpha / rank) BAx."""

        def __init__(self, layer: nn.Linear) -> None:
            super().__init__(layer.in_features, layer.out_features)
            self.lora_A = nn.Linear(layer.in_features, RANK, bias=False)
            self.lora_B = nn.Linear(RANK, layer.out_features, bias=False)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return super().forward(tokens) + ALPHA / RANK * self.lora_B(self.lora_A(tokens))

    network = timm.create_model(
        "vit_huge_patch14_224", img_size=224, embed_dim=embed_dim, depth=depth, num_heads=num_heads, reg_tokens=4,
        mlp_layer=SwiGLUPacked, act_layer=nn.SiLU, mlp_ratio=6832 / 1280, init_values=1e-5, num_classes=0,
        global_pool="",
    )  # fmt: skip
    for block in network.blocks:
        block.attn.qkv, block.attn.proj = Adapted(block.attn.qkv), Adapted(block.attn.proj)
    return network


CRISP = ModelSpec(
    name="crisp",
    title="CRISP, ViT-H/14 with 4 registers, frozen sections",
    load=Checkpoint(
        architecture=adapted_virchow2,
        kwargs={},
        repo="FTZhou/CRISP",
        revision=None,
        filename="CRISP.pth",
        url="",
        sha256=None,
        entry="",
        strip_prefix="base_model.model.",  # peft's words
        rename={r"\.base_layer\.": ".", r"\.(lora_[AB])\.default\.": r".\1."},
        drop=(),
    ),
    # The authors' crisp.py.
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bicubic", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=0.5, mpp_basis="convention",
    ),
    embed_dim=2560, pooling="cls+mean", prefix_tokens=5, precision="fp16",
    license="CC-BY-NC-ND-4.0",  # Virchow2's, whose weights the file holds; the card says MIT
    license_conflict=True,
    reference="https://doi.org/10.1038/s41591-026-04703-0",
    gated=True,
    parameters=633_205_504,  # Virchow2's 631,239,424 and the adapters
    pretraining=("mskcc",),  # by Virchow2; the authors' own frozen sections besides
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=("gated", "license", "load.filename", "preprocessing.mpp"),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer it."""
    return [CRISP]
