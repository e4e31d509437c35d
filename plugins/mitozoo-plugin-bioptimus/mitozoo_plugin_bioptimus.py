"""H-optimus-0, H-optimus-1 and H0-mini of Bioptimus: vision transformers with four registers, by the class token."""

from __future__ import annotations

import dataclasses

from mitozoo import ModelSpec, Preprocessing, TimmHub, hookimpl

MEAN = (0.707223, 0.578729, 0.703617)
STD = (0.211883, 0.230117, 0.177517)
# The cards are gated; what they say is known from several tools that quote them.
NOT_READ = (
    "precision",
    "preprocessing.resize",
    "preprocessing.interpolation",
    "preprocessing.mean",
    "preprocessing.std",
)

H_OPTIMUS_0 = ModelSpec(
    name="h-optimus-0",
    title="H-optimus-0, ViT-g/14 with 4 registers",
    load=TimmHub(
        architecture="vit_giant_patch14_reg4_dinov2",
        repo="bioptimus/H-optimus-0",
        revision="b145cc1e6c6b30d3251aa8b1f844e6974188a743",
        filename="pytorch_model.bin",
        sha256="bf47b8467403079798661601b6ab06533be789da48d3f8b510aaefe2fbc55cd3",
        kwargs={
            "img_size": 224, "init_values": 1e-5, "num_classes": 0, "global_pool": "token", "dynamic_img_size": False,
        },
    ),
    # The card resizes nothing: its tiles are 224 px at 0.5 um. The configuration's interpolation serves other tiles.
    preprocessing=Preprocessing(
        size=224, resize="none", resize_to=224, interpolation="bicubic", antialias=True,
        mean=MEAN, std=STD, mpp=0.5, mpp_basis="stated",
    ),
    embed_dim=1536, pooling="cls", prefix_tokens=5, precision="fp16",
    license="Apache-2.0",
    reference="https://github.com/bioptimus/releases/tree/main/models/h-optimus/v0",
    gated=True,
    parameters=1_134_774_272,
    pretraining=("bioptimus-proprietary",),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=("gated", *NOT_READ),  # tools disagree on whether the gate opens by itself
)  # fmt: skip

H_OPTIMUS_1 = dataclasses.replace(
    H_OPTIMUS_0,
    name="h-optimus-1",
    title="H-optimus-1, ViT-g/14 with 4 registers",
    load=dataclasses.replace(
        H_OPTIMUS_0.load,
        repo="bioptimus/H-optimus-1",
        revision="3592cb220dec7a150c5d7813fb56e68bd57473b9",
        filename="model.safetensors",
        sha256="c4f1e5b457ddf00679626053b0bf2899be6a19c3a04ad191c87ad1cdfd1abfe1",
    ),
    license="CC-BY-NC-ND-4.0",
    reference="https://doi.org/10.1158/1538-7445.AM2026-LB174",
    unverified=NOT_READ,
)

H0_MINI = dataclasses.replace(
    H_OPTIMUS_0,
    name="h0-mini",
    title="H0-mini, ViT-B/14 with 4 registers, class token",
    load=TimmHub(
        architecture="vit_base_patch14_reg4_dinov2",
        repo="bioptimus/H0-mini",
        revision="5b5cc0505d19ae558270045eb0df8c34df4d9609",
        filename="model.safetensors",
        sha256="5e4de45a6527a8160f7c21fe3105c987757efe30ce581e1f2cf5809476069ade",
        kwargs={
            "img_size": 224, "init_values": 1e-5, "reg_tokens": 4, "mlp_ratio": 5.33334, "global_pool": "",
            "num_classes": 0, "mlp_layer": "timm.layers:SwiGLUPacked", "act_layer": "torch.nn:SiLU",
        },
    ),
    # Unlike its elders' cards, this one resizes, by the configuration: bicubic, crop_pct 1.
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bicubic", antialias=True,
        mean=MEAN, std=STD, mpp=0.5, mpp_basis="magnification",
    ),
    embed_dim=768, pooling="cls", prefix_tokens=5, precision="fp16",  # the card advises the class token
    license="CC-BY-NC-ND-4.0",
    reference="https://arxiv.org/abs/2501.16239",
    parameters=85_739_520,
    pretraining=("tcga", "bioptimus-proprietary"),  # distilled on TCGA, from H-optimus-0
    unverified=NOT_READ,
)  # fmt: skip

H0_MINI_CLS_MEAN = dataclasses.replace(
    H0_MINI,
    name="h0-mini-cls-mean",
    title="H0-mini, ViT-B/14 with 4 registers, class token and mean of patch tokens",
    embed_dim=1536,
    pooling="cls+mean",
)


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer all three, the last in both poolings."""
    return [H_OPTIMUS_0, H_OPTIMUS_1, H0_MINI, H0_MINI_CLS_MEAN]
