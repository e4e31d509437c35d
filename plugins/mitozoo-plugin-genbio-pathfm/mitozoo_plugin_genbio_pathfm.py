"""GenBio-PathFM: a one-channel ViT-g/16 in the manner of DINOv3 that sees red, green and blue one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

if TYPE_CHECKING:
    import torch


def channelwise_transformer(
    embed_dim: int = 1536, depth: int = 40, num_heads: int = 24, rotary_dtype: str = "bfloat16"
) -> torch.nn.Module:
    """Build the untrained network: float (n, 3, side, side) to the three channels' class tokens, (n, 3 embed_dim).

    Args:
        embed_dim: width of one channel's tokens.
        depth: number of blocks.
        num_heads: of each attention.
        rotary_dtype: in which positions are turned into angles, and queries and keys are rotated by them. The authors'
            own code does that in bfloat16 whatever the rest runs in; to do it in float32 gives other embeddings.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    hidden = -(-int(embed_dim * 4 * 2 / 3) // 64) * 64  # of the gated layer, aligned to 64
    head_dim = embed_dim // num_heads
    angle_dtype = getattr(torch, rotary_dtype)

    class Rotary(nn.Module):
        """Sines and cosines (patches, head_dim) of the angles by which a grid of patches rotates."""

        def __init__(self) -> None:
            super().__init__()
            exponents = 2 * torch.arange(head_dim // 4, dtype=angle_dtype) / (head_dim // 2)
            self.register_buffer("periods", 100**exponents)

        def forward(self, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
            sides = (torch.arange(0.5, n, dtype=angle_dtype, device=self.periods.device) / n for n in (height, width))
            places = 2 * torch.cartesian_prod(*sides) - 1
            angles = (2 * torch.pi * places[:, :, None] / self.periods).flatten(1).tile(2)
            return angles.sin(), angles.cos()

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(embed_dim, 3 * embed_dim, bias=False)
            self.proj = nn.Linear(embed_dim, embed_dim)

        def forward(self, tokens: torch.Tensor, sines: torch.Tensor, cosines: torch.Tensor) -> torch.Tensor:
            query, key, value = self.qkv(tokens).unflatten(2, (3, num_heads, head_dim)).permute(2, 0, 3, 1, 4)
            query, key = (rotated(vectors, sines, cosines) for vectors in (query, key))
            attended = functional.scaled_dot_product_attention(query, key, value)
            return self.proj(attended.transpose(1, 2).flatten(2))

    def rotated(vectors: torch.Tensor, sines: torch.Tensor, cosines: torch.Tensor) -> torch.Tensor:
        low = vectors.to(sines.dtype)
        prefix, patches = low.tensor_split([low.shape[2] - len(sines)], dim=2)  # class and storage tokens have no place
        first, second = patches.chunk(2, dim=3)
        turned = patches * cosines + torch.cat((-second, first), dim=3) * sines
        return torch.cat((prefix, turned), dim=2).to(vectors.dtype)

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w1, self.w2 = nn.Linear(embed_dim, hidden), nn.Linear(embed_dim, hidden)
            self.w3 = nn.Linear(hidden, embed_dim)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.w3(functional.silu(self.w1(tokens)) * self.w2(tokens))

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gamma = nn.Parameter(torch.full((embed_dim,), 1e-5))

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return tokens * self.gamma

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.attn, self.ls1 = nn.LayerNorm(embed_dim, eps=1e-6), Attention(), Scale()
            self.norm2, self.mlp, self.ls2 = nn.LayerNorm(embed_dim, eps=1e-6), Gated(), Scale()

        def forward(self, tokens: torch.Tensor, sines: torch.Tensor, cosines: torch.Tensor) -> torch.Tensor:
            tokens = tokens + self.ls1(self.attn(self.norm1(tokens), sines, cosines))
            return tokens + self.ls2(self.mlp(self.norm2(tokens)))

    class ChannelwiseTransformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
            self.storage_tokens = nn.Parameter(torch.zeros(1, 4, embed_dim))
            self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, embed_dim, kernel_size=16, stride=16)})
            self.rope_embed = Rotary()
            self.blocks = nn.ModuleList(Block() for _ in range(depth))
            self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
            self.num_prefix_tokens = 1 + self.storage_tokens.shape[1]

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            grid = self.patch_embed["proj"](images.flatten(0, 1)[:, None])  # each channel is an image of its own
            prefix = torch.cat((self.cls_token, self.storage_tokens), dim=1).expand(len(grid), -1, -1)
            tokens = torch.cat((prefix, grid.flatten(2).transpose(1, 2)), dim=1)
            sines, cosines = self.rope_embed(*grid.shape[2:])
            for block in self.blocks:
                tokens = block(tokens, sines, cosines)
            return self.norm(tokens)[:, 0].unflatten(0, (len(images), -1)).flatten(1)

    return ChannelwiseTransformer()


GENBIO_PATHFM = ModelSpec(
    name="genbio-pathfm",
    title="GenBio-PathFM, ViT-g/16 on each colour channel, class tokens",
    load=Checkpoint(
        architecture=channelwise_transformer,  # in place of the repository's own code; the file's keys are the same
        kwargs={},
        repo="genbio-ai/genbio-pathfm",
        revision=None,
        filename="model.pth",  # which the authors' code loads strictly; model.safetensors is for their remote code
        url="",
        sha256=None,
        entry="",
        strip_prefix="",
        rename={},
        drop=(),
    ),
    # The authors' README and model.py: Resize((224, 224)), which is bilinear; one tool resizes bicubically.
    preprocessing=Preprocessing(
        size=224, resize="square", resize_to=224, interpolation="bilinear", antialias=True,
        mean=(0.697, 0.575, 0.728), std=(0.188, 0.240, 0.187), mpp=0.5, mpp_basis="convention",
    ),
    embed_dim=4608, pooling="network", prefix_tokens=5, precision="fp32",
    license="GenBio AI Community License",
    reference="https://www.biorxiv.org/content/10.64898/2026.03.17.712534v1",
    parameters=1_133_686_784,
    lora_targets=("attn.qkv", "attn.proj", "mlp.w1", "mlp.w2", "mlp.w3"),
    unverified=("preprocessing.mpp",),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer it."""
    return [GENBIO_PATHFM]
