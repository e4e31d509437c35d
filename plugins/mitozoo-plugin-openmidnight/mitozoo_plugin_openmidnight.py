"""OpenMidnight and OpenPath: ViT-g/14 with four registers, trained further from DINOv2 by open recipes."""

from __future__ import annotations

import dataclasses

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

OPENMIDNIGHT = ModelSpec(
    name="openmidnight",
    title="OpenMidnight, ViT-g/14 with 4 registers",
    load=Checkpoint(
        architecture="timm:vit_giant_patch14_reg4_dinov2",
        kwargs={"img_size": 224, "num_classes": 0},
        repo="SophontAI/OpenMidnight",
        revision="87189e6674d397a14a5cd342c97b1a1615a185aa",
        filename="teacher_checkpoint_load.pt",
        url="",
        sha256="b57121fc10e2b04c9e85514fa5e4c23b75329301e05bfc756c3bca57312505be",
        entry="",
        strip_prefix="",
        rename={},
        drop=(),
        # DINOv2's layout: timm's filter renames it and adds the class token's position to the class token. The position
        # embeddings are of 224 px already, so nothing is resampled.
        resample_positions=True,
    ),
    # The card: Resize((224, 224)).
    preprocessing=Preprocessing(
        size=224, resize="square", resize_to=224, interpolation="bilinear", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=0.5, mpp_basis="convention",
    ),
    embed_dim=1536, pooling="cls", prefix_tokens=5, precision="fp32",
    license="Apache-2.0",
    reference="https://sophont.med/blog/openmidnight",
    gated=True,
    parameters=1_134_774_272,
    pretraining=("tcga",),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=("preprocessing.resize", "preprocessing.interpolation", "preprocessing.mpp"),
)  # fmt: skip

OPENPATH = dataclasses.replace(
    OPENMIDNIGHT,
    name="openpath",
    title="OpenPath, ViT-g/14 with 4 registers",
    load=dataclasses.replace(
        OPENMIDNIGHT.load,
        repo="taejoon89/openpath",
        revision="22b339237195931eb56ea6c86653362edd2dd155",
        filename="teacher_checkpoint.pth",
        sha256="1b389360b4867b5159ce7534ff231f51e87d3cf140daa4b37483d0a178af3da3",
        entry="teacher",
        strip_prefix="backbone.",
        rename={r"^blocks\.\d+\.(\d+)\.": r"blocks.\1."},  # blocks.CHUNK.BLOCK, as it was trained
        drop=(r"^dino_head\.", r"^ibot_head\."),
    ),
    # 'Resize 224' is all that is told, which in torchvision's words is the short side; square tiles come out alike.
    preprocessing=dataclasses.replace(OPENMIDNIGHT.preprocessing, resize="short-side", mpp_basis="stated"),
    reference="https://github.com/taejoon89/openpath",
    gated=False,
    # "public slides only", these among them
    pretraining=("tcga", "tcia", "gtex", "camelyon", "acrobat", "surgen", "others"),
    unverified=("pretraining", "preprocessing.resize", "preprocessing.interpolation"),
)


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer both."""
    return [OPENMIDNIGHT, OPENPATH]
