"""PathOrchestra: the class token of a ViT-L/16, trained by DINOv2."""

from __future__ import annotations

from mitozoo import ModelSpec, Preprocessing, TimmHub, hookimpl

PATHORCHESTRA = ModelSpec(
    name="pathorchestra",
    title="PathOrchestra, ViT-L/16, DINOv2",
    load=TimmHub(
        architecture="vit_large_patch16_224",
        repo="AI4Pathology/PathOrchestra",
        revision="8280b11a63919f25e4610f3315c2646b5f38bbb5",
        filename="pytorch_model.bin",
        sha256="3bcf28a162ed187d63ce42b41096eb298702b6d1be8640555660b053354db912",
        kwargs={"img_size": 224, "init_values": 1e-5, "num_classes": 0, "dynamic_img_size": True},
    ),
    # The README's transform.
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bilinear", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=0.5, mpp_basis="convention",
    ),
    embed_dim=1024, pooling="cls", prefix_tokens=1, precision="fp32",
    license="CC-BY-NC-ND-4.0",
    reference="https://arxiv.org/abs/2503.24345",
    gated=True,
    parameters=303_350_784,
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer it."""
    return [PATHORCHESTRA]
