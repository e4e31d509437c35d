"""RetCCL: a ResNet-50 trained by clustering-guided contrastive learning on TCGA and PAIP."""

from __future__ import annotations

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

RETCCL = ModelSpec(
    name="retccl",
    title="RetCCL, ResNet-50, clustering-guided contrastive learning",
    load=Checkpoint(
        architecture="timm:resnet50", kwargs={"num_classes": 0},
        # the authors publish through Google Drive (there it is best_ckpt.pth); this repository mirrors the file
        repo="jamesdolezal/RetCCL", revision="076c6d18dd11f9ca951c6e294c31a021b42df494",
        filename="retccl.pth", url="",
        sha256="931956f31d3f1a3f6047f3172b9e59ee3460d29f7c0c2bb219cbc8e9207795ff",
        entry="", strip_prefix="", rename={}, drop=(),
    ),
    # the authors resize to 256 and do not crop; 'first try to extract features at 1.0mpp'
    preprocessing=Preprocessing(
        size=256, resize="short-side", resize_to=256, interpolation="bilinear", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=1.0, mpp_basis="stated",
    ),
    embed_dim=2048, pooling="gap", prefix_tokens=0, precision="fp32",
    license="GPL-3.0-only",  # and 'for non-commercial academic purposes'
    reference="https://doi.org/10.1016/j.media.2022.102645",
    parameters=23_508_032,
    pretraining=("tcga", "paip"),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer RetCCL."""
    return [RETCCL]
