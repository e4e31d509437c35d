"""mSTAR of the HKUST Smart Lab: the class token of a ViT-L/16 that was taught by reports and gene expression."""

from __future__ import annotations

from mitozoo import ModelSpec, Preprocessing, TimmHub, hookimpl

MSTAR = ModelSpec(
    name="mstar",
    title="mSTAR, ViT-L/16, taught by reports and gene expression",
    load=TimmHub(
        architecture="vit_large_patch16_224",
        repo="Wangyh/mSTAR",
        revision="162ae5da9897d4ff8b9a4c2daea175ae45012ef7",
        filename="model.safetensors",
        sha256="13b2df84648420bbc0fd2eca43ddfb5b7c9764920149988b3e015f39ed6f07ee",
        kwargs={"img_size": 224, "init_values": 1e-5, "num_classes": 0, "dynamic_img_size": True},
    ),
    # The README's transform; the hub's configuration (mean 0.5, crop 0.9) is a left-over of timm's architecture.
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bilinear", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=0.5, mpp_basis="magnification",
    ),
    embed_dim=1024, pooling="cls", prefix_tokens=1, precision="fp32",
    license="CC-BY-NC-ND-4.0",
    reference="https://arxiv.org/abs/2407.15362",
    gated=True,
    parameters=303_350_784,
    pretraining=("tcga",),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer it."""
    return [MSTAR]
