"""Phikon and Phikon-v2 of Owkin: the class token of a ViT-B/16 (iBOT) and of a ViT-L/16 (DINOv2)."""

from __future__ import annotations

from mitozoo import ModelSpec, Preprocessing, TransformersHub, hookimpl

REQUIRES = ("transformers>=4.40",)
LICENSE = "Owkin non-commercial licence"

PHIKON = ModelSpec(
    name="phikon",
    title="Phikon, ViT-B/16, iBOT on TCGA",
    load=TransformersHub(
        repo="owkin/phikon",
        # Before October 2023 the file held the student's weights; this revision holds the teacher's.
        revision="057cc0295895c2df3dd7681a89680da6015cbefe",
        filename="model.safetensors",
        sha256="d01642bfeb683c6b039622eca273e0a8e4208065a4595b63edba178c1c4cfa68",
        model_class="transformers:ViTModel",
        kwargs={"add_pooling_layer": False},  # the file holds no pooler: one would be random
        output="last_hidden_state",
    ),
    # preprocessor_config.json: a square of 224 px; it names no filter, and ViTImageProcessor's own is bilinear.
    preprocessing=Preprocessing(
        size=224, resize="square", resize_to=224, interpolation="bilinear", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=0.5, mpp_basis="stated",
    ),
    embed_dim=768, pooling="cls", prefix_tokens=1, precision="fp32",
    license=LICENSE,
    reference="https://doi.org/10.1101/2023.07.21.23292757",
    parameters=85_798_656,
    pretraining=("tcga",),
    requires=REQUIRES,
)  # fmt: skip

PHIKON_V2 = ModelSpec(
    name="phikon-v2",
    title="Phikon-v2, ViT-L/16, DINOv2 on public cohorts",
    load=TransformersHub(
        repo="owkin/phikon-v2",
        revision="2ae989a9c40cffaa27f0a6cb29cc94d1d6f9a5fd",
        filename="model.safetensors",
        sha256="261ae680fa699b3b951597fd57aa19c02ef735805acb104b93af69b36d928569",
        model_class="transformers:Dinov2Model",
        kwargs={},
        output="last_hidden_state",
    ),
    # preprocessor_config.json: resample 3, which is bicubic, then the centre; some tools resize bilinearly.
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bicubic", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=0.5, mpp_basis="stated",
    ),
    embed_dim=1024, pooling="cls", prefix_tokens=1, precision="fp32",
    license=LICENSE,
    reference="https://arxiv.org/abs/2409.09173",
    parameters=303_351_808,
    pretraining=("tcga", "cptac", "gtex", "pancan-xl", "others"),  # PANCAN-XL: over 100 public cohorts
    requires=REQUIRES,
    unverified=("preprocessing.resize", "preprocessing.interpolation"),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer both."""
    return [PHIKON, PHIKON_V2]
