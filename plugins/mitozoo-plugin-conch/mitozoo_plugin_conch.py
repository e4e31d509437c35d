"""CONCH and CONCH v1.5: vision transformers whose tokens one learned query pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

if TYPE_CHECKING:
    import torch

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LORA_TARGETS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")


def build_conch() -> torch.nn.Module:
    """Return CONCH's image tower up to `encode_image(x, proj_contrast=False, normalize=False)`, untrained.

    A ViT-B/16 at 448 px, CoCa's attentional pooler with one query, and a layer norm (`conch_ViT-B-16.json` and
    `vision_tower.py` of mahmoodlab/CONCH).
    """
    import timm
    from open_clip.transformer import AttentionalPooler

    trunk = timm.create_model("vit_base_patch16_224", img_size=448, num_classes=0)
    return _with_pooler(trunk, AttentionalPooler(d_model=512, context_dim=768, n_head=8, n_queries=1), 512)


def build_conch_v1_5() -> torch.nn.Module:
    """Return CONCH v1.5's image tower, untrained: `EncoderWithAttentionalPooler` of `conch_v1_5.py`.

    A ViT-L/16 with layer scale, whose 14 x 14 position embeddings are stretched to the 28 x 28 patches of 448 px as in
    DINO, then a pooler of separate projections with one query, and a layer norm.
    """
    import torch
    from timm.models.vision_transformer import VisionTransformer
    from torch import nn

    class StretchedTransformer(VisionTransformer):
        def _pos_embed(self, patches: torch.Tensor) -> torch.Tensor:
            """Add positions to (n, rows, columns, 1024): (n, 1 + rows * columns, 1024)."""
            n, rows, columns, width = patches.shape
            own = round((self.pos_embed.shape[1] - 1) ** 0.5)
            grid = self.pos_embed[:, 1:].reshape(1, own, own, width).permute(0, 3, 1, 2)
            # DINO's own rule: the factor, not the size, is given, and the 0.1 shifts the samples a little
            factor = ((rows + 0.1) / own, (columns + 0.1) / own)
            grid = nn.functional.interpolate(grid, scale_factor=factor, mode="bicubic")
            positions = grid.permute(0, 2, 3, 1).reshape(1, rows * columns, width)
            tokens = torch.cat((self.cls_token.expand(n, -1, -1), patches.reshape(n, rows * columns, width)), dim=1)
            return self.pos_drop(tokens + torch.cat((self.pos_embed[:, :1], positions), dim=1))

    class Pooler(nn.Module):
        def __init__(self, width: int, context: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.query = nn.Parameter(torch.randn(1, width))
            self.ln_k, self.ln_q = nn.LayerNorm(context), nn.LayerNorm(width)
            self.to_q = nn.Linear(width, width, bias=False)
            self.to_kv = nn.Linear(context, 2 * width, bias=False)
            self.to_out = nn.Linear(width, width, bias=False)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            query = self.to_q(self.ln_q(self.query)).expand(len(tokens), -1, -1)
            key, value = self.to_kv(self.ln_k(tokens)).chunk(2, dim=-1)
            query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (query, key, value))
            pooled = nn.functional.scaled_dot_product_attention(query, key, value)
            return self.to_out(pooled.transpose(1, 2).flatten(2))

    trunk = StretchedTransformer(
        img_size=224, patch_size=16, embed_dim=1024, depth=24, num_heads=16, init_values=1.0, num_classes=0,
        dynamic_img_size=True,
    )  # fmt: skip
    return _with_pooler(trunk, Pooler(768, 1024, 8), 768)


def _with_pooler(trunk: torch.nn.Module, pooler: torch.nn.Module, width: int) -> torch.nn.Module:
    from torch import nn

    class PooledTower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.attn_pool_contrast, self.ln_contrast = trunk, pooler, nn.LayerNorm(width)
            self.num_prefix_tokens = trunk.num_prefix_tokens

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens = self.trunk.forward_features(images)
            return self.ln_contrast(self.attn_pool_contrast(tokens)[:, 0])

    return PooledTower()


CONCH = ModelSpec(
    name="conch",
    title="CONCH, ViT-B/16 of a vision-language model, 448 px",
    load=Checkpoint(
        architecture=build_conch, kwargs={},
        repo="MahmoodLab/conch", revision="f9ca9f877171a28ade80228fb195ac5d79003357",
        filename="pytorch_model.bin", url="",
        sha256="40a9644b9ba0e83a74576e0a5e5f7313599fa9c9cdaf3c20f8a3e271b0e9ae7c",
        entry="", strip_prefix="", rename={r"^(module\.)?visual\.": ""},
        # the text towers, the projection for retrieval and the 256 queries for captions
        drop=(r"^(module\.)?(text|text_decoder|logit_scale)(\.|$)", r"^proj_contrast$", r"^(attn_pool|ln)_caption\."),
    ),
    preprocessing=Preprocessing(
        size=448, resize="short-side", resize_to=448, interpolation="bicubic", antialias=True,
        mean=CLIP_MEAN, std=CLIP_STD, mpp=0.5, mpp_basis="magnification",
    ),
    embed_dim=512, pooling="network", prefix_tokens=1, precision="fp32",
    license="CC-BY-NC-ND-4.0", gated=True,
    reference="https://doi.org/10.1038/s41591-024-02856-4",
    parameters=87_567_104,
    pretraining=("mass general brigham", "pubmed central open access", "educational image-caption pairs"),
    lora_targets=LORA_TARGETS,
    requires=("open_clip_torch>=2.24",),
)  # fmt: skip

CONCH_V1_5 = ModelSpec(
    name="conch-v1-5",
    title="CONCH v1.5, ViT-L/16: the patch encoder of TITAN, 448 px",
    load=Checkpoint(
        architecture=build_conch_v1_5, kwargs={},
        repo="MahmoodLab/TITAN", revision="dac6773d9961cfc75503440676ff157a2c6e8d2e",
        filename="conch_v1_5_pytorch_model.bin", url="",
        sha256="09daf1912a016512e084636f9c76eee7c42f5c1f09b0461bb76082a3e0fecfa5",
        entry="", strip_prefix="", rename={}, drop=(),
    ),
    # ImageNet statistics and bilinear, unlike CONCH; TITAN reads tiles of 512 px at 20x
    preprocessing=Preprocessing(
        size=448, resize="short-side", resize_to=448, interpolation="bilinear", antialias=True,
        mean=IMAGENET_MEAN, std=IMAGENET_STD, mpp=0.5, mpp_basis="magnification",
    ),
    embed_dim=768, pooling="network", prefix_tokens=1, precision="fp16",
    license="CC-BY-NC-ND-4.0", gated=True,
    reference="https://doi.org/10.1038/s41591-025-03982-3",
    parameters=306_109_184,
    pretraining=None,
    lora_targets=LORA_TARGETS,
    unverified=("precision",),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer both."""
    return [CONCH, CONCH_V1_5]
