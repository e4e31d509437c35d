"""The encoders of kaiko.ai: five vision transformers of 2024, and Midnight-12k of 2025."""

from __future__ import annotations

import dataclasses

from mitozoo import Checkpoint, ModelSpec, Preprocessing, TimmHub, TransformersHub, hookimpl

RELEASE = "https://github.com/kaiko-ai/towards_large_pathology_fms/releases/download/0.0.1"

VITS16 = ModelSpec(
    name="kaiko-vits16",
    title="kaiko ViT-S/16, DINO on TCGA",
    # kaiko's own file, which their hubconf.py loads strictly into the same architecture; nobody published its checksum.
    load=Checkpoint(
        architecture="timm:vit_small_patch16_224",
        kwargs={"num_classes": 0, "dynamic_img_size": True},
        repo="", revision=None, filename="vits16.pth", url=f"{RELEASE}/vits16.pth", sha256=None,
        entry="", strip_prefix="", rename={}, drop=(),
    ),
    # Their README: statistics of 0.5 for all five; the configurations of mirrors, and some tools, say ImageNet's.
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bilinear", antialias=True,
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), mpp=0.5, mpp_basis="convention",
    ),
    embed_dim=384, pooling="cls", prefix_tokens=1, precision="fp32",
    license="Kaiko Non-Commercial Public License 1.0",
    reference="https://arxiv.org/abs/2404.15217",
    parameters=21_665_664,
    pretraining=("tcga",),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
)  # fmt: skip


def _sibling(size: str, patch: int, embed_dim: int, parameters: int) -> ModelSpec:
    name = f"vit{size[0]}{patch}"
    return dataclasses.replace(
        VITS16,
        name=f"kaiko-{name}",
        title=f"kaiko ViT-{size[0].upper()}/{patch}, DINO on TCGA",
        load=dataclasses.replace(
            VITS16.load,
            architecture=f"timm:vit_{size}_patch{patch}_224",
            filename=f"{name}.pth",
            url=f"{RELEASE}/{name}.pth",
        ),
        embed_dim=embed_dim,
        parameters=parameters,
    )


VITL14 = dataclasses.replace(
    VITS16,
    name="kaiko-vitl14",
    title="kaiko ViT-L/14 with 4 registers, DINOv2 on TCGA",
    load=TimmHub(  # a mirror in timm's own layout; kaiko's release keeps DINOv2's
        architecture="vit_large_patch14_reg4_dinov2",
        repo="1aurent/vit_large_patch14_reg4_224.kaiko_ai_towards_large_pathology_fms",
        revision="fb802e347d2c59f05207b70ad75f7df30019c188",
        filename="model.safetensors",
        sha256="149c8b21c60a7115a17572073b09ef142411c91b5194c84a99ebba8b83f20e69",
        kwargs={"num_classes": 0, "dynamic_img_size": True},  # position embeddings of 518 px, resampled to 224
    ),
    embed_dim=1024,
    prefix_tokens=5,
    parameters=304_370_688,
    unverified=("load.sha256", "preprocessing.size"),
)

MIDNIGHT_12K = ModelSpec(
    name="midnight-12k",
    title="Midnight-12k, ViT-g/14, class token and mean of patch tokens",
    aliases=("midnight",),
    load=TransformersHub(
        repo="kaiko-ai/midnight",
        revision="adc6b15679c981cce6f9b018bbad09d16eeeda9f",
        filename="model.safetensors",
        sha256="52c14f20386ca17c2af8a7bf32c31c352668a8fbf6aefc88d86be6eaa0c72ca1",
        model_class="transformers:Dinov2Model",
        kwargs={},
        output="last_hidden_state",
    ),
    preprocessing=dataclasses.replace(VITS16.preprocessing, mpp_basis="stated"),  # trained at 2, 1, 0.5 and 0.25
    embed_dim=3072, pooling="cls+mean", prefix_tokens=1, precision="fp32",  # as the card classifies; no registers
    license="MIT",
    reference="https://arxiv.org/abs/2504.05186",
    parameters=1_136_480_768,
    pretraining=("tcga",),
    requires=("transformers>=4.40",),
    unverified=("gated", "precision", "preprocessing.interpolation"),  # tools disagree on the gate
)  # fmt: skip

MIDNIGHT_12K_CLS = dataclasses.replace(
    MIDNIGHT_12K,
    name="midnight-12k-cls",
    title="Midnight-12k, ViT-g/14, class token",
    aliases=(),
    embed_dim=1536,
    pooling="cls",
)


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer the five of 2024, and Midnight in both poolings."""
    return [
        VITS16,
        _sibling("small", 8, 384, 21_670_272),
        _sibling("base", 16, 768, 85_798_656),
        _sibling("base", 8, 768, 85_807_872),
        VITL14,
        MIDNIGHT_12K,
        MIDNIGHT_12K_CLS,
    ]
