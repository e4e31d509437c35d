"""The encoders of Lunit's benchmark of self-supervision: two vision transformers and three ResNet-50."""

from __future__ import annotations

import dataclasses

from mitozoo import Checkpoint, ModelSpec, Preprocessing, TimmHub, hookimpl

RELEASE = "https://github.com/lunit-io/benchmark-ssl-pathology/releases/download/pretrained-weights"

VITS16 = ModelSpec(
    name="lunit-vits16",
    title="Lunit ViT-S/16, DINO on TCGA",
    load=TimmHub(
        architecture="vit_small_patch16_224",
        repo="1aurent/vit_small_patch16_224.lunit_dino",  # a mirror; its configuration's statistics are not Lunit's
        revision="9ed09909d93f9d39a092d8e49717ae48f9b44e6f",
        filename="model.safetensors",
        sha256="a19eb37d6cf038a7e8a34c7e9ec50698d02759b2f49dd799492f6ce7e4cb5937",
        kwargs={"num_classes": 0},
    ),
    # Lunit's release notes give these statistics; they state no resize. Bilinear to 224 px is what EVA documents;
    # mirrors' configurations (ImageNet or 0.5, bicubic, crop 0.9) are timm's, not Lunit's.
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bilinear", antialias=True,
        mean=(0.70322989, 0.53606487, 0.66096631), std=(0.21716536, 0.26081574, 0.20723464),
        mpp=0.5, mpp_basis="magnification",  # trained at 20x and 40x
    ),
    embed_dim=384, pooling="cls", prefix_tokens=1, precision="fp32",
    license="Lunit non-commercial licence",
    reference="https://arxiv.org/abs/2212.04690",
    parameters=21_665_664,
    pretraining=("tcga",),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=("preprocessing.resize", "preprocessing.resize_to", "preprocessing.interpolation"),
)  # fmt: skip

VITS8 = dataclasses.replace(
    VITS16,
    name="lunit-vits8",
    title="Lunit ViT-S/8, DINO on TCGA",
    load=TimmHub(
        architecture="vit_small_patch8_224",
        repo="1aurent/vit_small_patch8_224.lunit_dino",
        revision="c23bc01cfbe022bc1f2a8a9306125a07818e4eb4",
        filename="model.safetensors",
        sha256="0b7e0236ce430064b31485bbb6f85e661dc5eca0cde709e8f04d59f1c2b23e0b",
        kwargs={"num_classes": 0},
    ),
    parameters=21_670_272,
)


def _resnet50(method: str, title: str, sha256: str) -> ModelSpec:
    """Lunit's own file: the batch-norm statistics of the mirrors' files differ from it."""
    filename = f"{method}_rn50_ep200.torch"
    return dataclasses.replace(
        VITS16,
        name=f"lunit-{method}",
        title=f"Lunit ResNet-50, {title} on TCGA",
        load=Checkpoint(
            architecture="timm:resnet50", kwargs={"num_classes": 0},
            repo="", revision=None, filename=filename, url=f"{RELEASE}/{filename}", sha256=sha256,
            entry="", strip_prefix="", rename={}, drop=(),
        ),
        embed_dim=2048,
        pooling="gap",
        prefix_tokens=0,
        parameters=23_508_032,
        lora_targets=(),
    )  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer all five."""
    return [
        VITS16,
        VITS8,
        _resnet50("bt", "Barlow Twins", "1ecf2f0888b598708e912cab689e797db099ec48df07d3b0b1fac04bc767f899"),
        _resnet50("mocov2", "MoCo v2", "caddcff7980577722e9227fb90e61364556f15978483b19a1729831e770733b6"),
        _resnet50("swav", "SwAV", "bf99442e9ce3367e3895e80b4d24e7f21d74b3c791347970b91eb82bcefa366f"),
    ]
