"""GPFM of the HKUST Smart Lab: the class token of a ViT-L/14, distilled from UNI, CONCH and Phikon."""

from __future__ import annotations

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

GPFM = ModelSpec(
    name="gpfm",
    title="GPFM, ViT-L/14, distilled from UNI, CONCH and Phikon",
    load=Checkpoint(
        architecture="timm:vit_large_patch14_dinov2",
        kwargs={"img_size": 224, "init_values": 1e-5, "num_classes": 0},  # the architecture's own side is 518 px
        repo="majiabo/GPFM",
        revision="c2e0c6c7cea4d7ae67151c3375d780712f82254e",
        filename="GPFM.pth",  # a bare state dict; the file of the same name in the authors' release is nested
        url="",
        sha256="ebde1a9d7d9098848034bcff30f8771034c8d0b69e32846fa266940f2fd4604c",
        entry="",
        strip_prefix="",
        rename={},
        drop=(),
    ),
    # The authors' build_transform: a square of 224 px, interpolation 3, which is bicubic.
    preprocessing=Preprocessing(
        size=224, resize="square", resize_to=224, interpolation="bicubic", antialias=True,
        # Trained on 512 px tiles at full resolution, whatever it was: at 40x 0.25 um in the file, 0.57 as they enter.
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=0.5, mpp_basis="convention",
    ),
    embed_dim=1024, pooling="cls", prefix_tokens=1, precision="fp32",
    license="CC-BY-NC-ND-4.0",  # the repository's file; the hub's card says MIT
    license_conflict=True,
    reference="https://arxiv.org/abs/2407.18449",
    parameters=303_227_904,
    # 33 public datasets, of which these are in the authors' published cropping scripts; MIDOG's images are among them.
    # The last one was seen by a teacher.
    pretraining=(
        "tcga", "cptac", "gtex", "midog21", "midog22", "aggc2022", "bach", "bcnb", "bracs", "camelyon", "dhmc", "dlbcl",
        "huncrc", "nadt-prostate", "ovarian-bevacizumab-response", "paip", "panda", "ubc-ocean", "mass-100k", "others",
    ),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=("pretraining", "preprocessing.mpp"),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer it."""
    return [GPFM]
