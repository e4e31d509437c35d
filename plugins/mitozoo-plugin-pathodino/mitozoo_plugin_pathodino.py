"""PathDino-512: five blocks of a ViT-S/16, trained with DINO under rotations of 360 degrees."""

from __future__ import annotations

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

PATHODINO = ModelSpec(
    name="pathodino",
    aliases=("pathdino",),
    title="PathDino-512, five blocks of a ViT-S/16, DINO",
    load=Checkpoint(
        architecture="timm:vit_small_patch16_224", kwargs={"img_size": 512, "depth": 5, "num_classes": 0},
        # the authors publish it in a demonstration space (Saghir/PathDino), from which it is fetched by hand
        repo="", revision=None, filename="PathDino512.pth", url="", sha256=None,
        entry="", strip_prefix="", rename={r"^backbone\.": ""}, drop=(),
    ),
    preprocessing=Preprocessing(
        size=512, resize="short-side", resize_to=512, interpolation="bilinear", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=0.5, mpp_basis="magnification",
    ),
    embed_dim=384, pooling="cls", prefix_tokens=1, precision="fp32",
    license="Apache-2.0",
    reference="https://arxiv.org/abs/2311.08359",
    parameters=9_562_368,
    pretraining=("tcga",),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=("license",),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer PathDino."""
    return [PATHODINO]
