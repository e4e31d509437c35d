"""KEEP: the image tower of a pathology vision-language model, built without its repository's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

if TYPE_CHECKING:
    import torch


def build_keep() -> torch.nn.Module:
    """Return KEEP's `encode_image`, untrained: ViT-L/16, a two-layer projection to 768, and L2 normalisation.

    KEEP's own code replaces timm's LayerScale in the whole process, so that every later ViT loses its weights' names.
    Here the two names of its parameter are told apart while loading, and nothing is replaced.
    """
    import timm
    from torch import nn

    class Keep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = timm.create_model("vit_large_patch16_224", img_size=224, init_values=1e-5, num_classes=0)
            self.visual_head = nn.Sequential(nn.Linear(1024, 768), nn.GELU(), nn.Linear(768, 768))
            self.num_prefix_tokens = self.visual.num_prefix_tokens

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return nn.functional.normalize(self.visual_head(self.visual(images)), dim=-1)

    return Keep()


KEEP = ModelSpec(
    name="keep",
    title="KEEP, ViT-L/16, knowledge-enhanced vision-language pretraining",
    load=Checkpoint(
        architecture=build_keep, kwargs={},
        repo="Astaxanthin/KEEP", revision="28a25d95cc6ba27a7e6fab3f144e13dbafd8b21e",
        filename="model.safetensors", url="",
        sha256="82f610d5359aca67b5fd5d841009f26db430ae78d0693743589c0a727b0a146d",
        entry="", strip_prefix="", rename={r"\.(ls[12])\.weight$": r".\1.gamma"},
        drop=(r"^text\.", r"^logit_scale$"),
    ),
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bicubic", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=None, mpp_basis="none",  # the authors state no scale
    ),
    # the authors' encode_image normalises to length 1; some peers give the raw projection
    embed_dim=768, pooling="network", prefix_tokens=1, precision="fp32",
    license="MIT",
    reference="https://doi.org/10.1016/j.ccell.2026.01.019",
    parameters=304_728_576,
    pretraining=None,
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer KEEP."""
    return [KEEP]
