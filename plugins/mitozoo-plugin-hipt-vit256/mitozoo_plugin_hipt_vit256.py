"""The patch tower of HIPT: a DINO ViT-S/16, trained at 224 px and used at 256."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

if TYPE_CHECKING:
    import torch


def build_vit256() -> torch.nn.Module:
    """Return `vit_small` of HIPT, untrained: it holds 14 x 14 positions and stretches them to 16 x 16, as DINO does."""
    import torch
    from timm.models.vision_transformer import VisionTransformer
    from torch import nn

    class StretchedTransformer(VisionTransformer):
        def _pos_embed(self, patches: torch.Tensor) -> torch.Tensor:
            """Add positions to (n, rows, columns, 384): (n, 1 + rows * columns, 384)."""
            n, rows, columns, width = patches.shape
            own = round((self.pos_embed.shape[1] - 1) ** 0.5)
            positions = self.pos_embed[:, 1:]
            if (rows, columns) != (own, own):
                grid = positions.reshape(1, own, own, width).permute(0, 3, 1, 2)
                # DINO's own rule: the factor, not the size, is given, and the 0.1 shifts the samples a little
                factor = ((rows + 0.1) / own, (columns + 0.1) / own)
                grid = nn.functional.interpolate(grid, scale_factor=factor, mode="bicubic")
                positions = grid.permute(0, 2, 3, 1).reshape(1, rows * columns, width)
            tokens = torch.cat((self.cls_token.expand(n, -1, -1), patches.reshape(n, rows * columns, width)), dim=1)
            return self.pos_drop(tokens + torch.cat((self.pos_embed[:, :1], positions), dim=1))

    return StretchedTransformer(
        img_size=224, patch_size=16, embed_dim=384, depth=12, num_heads=6, num_classes=0, dynamic_img_size=True
    )


HIPT_VIT256 = ModelSpec(
    name="hipt-vit256",
    title="HIPT's patch tower, ViT-S/16 DINO, 256 px",
    load=Checkpoint(
        architecture=build_vit256, kwargs={},
        repo="", revision=None, filename="vit256_small_dino.pth",
        url="https://media.githubusercontent.com/media/mahmoodlab/HIPT/780fafaed2e5b112bc1ed6e78852af1fe6714342/"
        "HIPT_4K/Checkpoints/vit256_small_dino.pth",
        sha256="6960cd5a8657dc8bb214671aa0c6dbd3f5b698e84386884955836487ddc89e24",
        entry="teacher", strip_prefix="", rename={r"^module\.": "", r"^backbone\.": ""},
        drop=(r"^head\.",),  # DINO's projection
    ),
    # the authors take tiles of 256 px at 20x as they are, and 0.5 where others take ImageNet's statistics
    preprocessing=Preprocessing(
        size=256, resize="none", resize_to=256, interpolation="bicubic", antialias=True,
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), mpp=0.5, mpp_basis="magnification",
    ),
    embed_dim=384, pooling="cls", prefix_tokens=1, precision="fp32",
    license="Apache-2.0 with Commons Clause",
    reference="https://arxiv.org/abs/2206.02647",
    parameters=21_665_664,
    pretraining=("tcga",),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=("preprocessing.interpolation",),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer HIPT's patch tower."""
    return [HIPT_VIT256]
