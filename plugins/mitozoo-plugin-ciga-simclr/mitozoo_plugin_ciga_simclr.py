"""The ResNet-18 of Ciga, Xu and Martel: SimCLR on 57 public histopathology datasets."""

from __future__ import annotations

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

CIGA_SIMCLR = ModelSpec(
    name="ciga-simclr",
    title="Ciga et al., ResNet-18 SimCLR ('tenpercent')",
    load=Checkpoint(
        architecture="timm:resnet18", kwargs={"num_classes": 0},
        repo="", revision=None, filename="pytorchnative_tenpercent_resnet18.ckpt",
        # of the two files of the release, the one that needs no Lightning to be read
        url="https://github.com/ozanciga/self-supervised-histopathology/releases/download/nativetenpercent/"
        "pytorchnative_tenpercent_resnet18.ckpt",
        sha256="ae652d1a586c1be11b8ed7f4033094a98ac9c620e43a28998c6c86d248e750ab",
        entry="state_dict", strip_prefix="", rename={r"^model\.": "", r"^resnet\.": ""},
        drop=(r"^fc\.",),  # the projection head
    ),
    # the author's answer to an issue (0.5, not ImageNet's); he states no resize
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bilinear", antialias=True,
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), mpp=None, mpp_basis="none",  # trained on many magnifications
    ),
    embed_dim=512, pooling="gap", prefix_tokens=0, precision="fp32",
    license="MIT",
    reference="https://arxiv.org/abs/2011.13971",
    parameters=11_176_512,
    pretraining=None,  # 57 public datasets, TCGA and challenges among them; their list was not read
    unverified=("license", "load.sha256", "preprocessing.resize", "preprocessing.interpolation"),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer it."""
    return [CIGA_SIMCLR]
