"""Virchow and Virchow2 of Paige, each by its card (class token and mean of the patch tokens) and by its class token."""

from __future__ import annotations

import dataclasses

from mitozoo import ModelSpec, Preprocessing, TimmHub, hookimpl

ARCHITECTURE = "vit_huge_patch14_224"
KWARGS = {
    "img_size": 224, "init_values": 1e-5, "mlp_ratio": 5.3375, "num_classes": 0, "global_pool": "",
    "dynamic_img_size": True, "mlp_layer": "timm.layers:SwiGLUPacked", "act_layer": "torch.nn:SiLU",
}  # fmt: skip
# The hub's configuration: bicubic, and crop_pct 1, so that nothing is cut away (timm's own default is 0.875 or 0.9).
PREPROCESSING = Preprocessing(
    size=224, resize="short-side", resize_to=224, interpolation="bicubic", antialias=True,
    mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=0.5, mpp_basis="stated",
)  # fmt: skip
# The cards are gated; what they say is known from several tools that quote them.
NOT_READ = (
    "precision", "preprocessing.resize_to", "preprocessing.interpolation", "preprocessing.mean", "preprocessing.std",
)  # fmt: skip

VIRCHOW = ModelSpec(
    name="virchow",
    title="Virchow, ViT-H/14, class token and mean of patch tokens",
    load=TimmHub(
        architecture=ARCHITECTURE,
        repo="paige-ai/Virchow",
        revision="19eebc84ae33e79f1b2d866e6ff90ae50e522f9a",
        filename="model.safetensors",
        sha256="3416891b37a2349a2d9ce7ecf00b64a6277011b41351436c1ceb0abb80805408",
        kwargs=KWARGS,
    ),
    preprocessing=PREPROCESSING,
    embed_dim=2560, pooling="cls+mean", prefix_tokens=1, precision="fp16",
    license="Apache-2.0",
    reference="https://doi.org/10.1038/s41591-024-03141-0",
    gated=True,
    parameters=631_229_184,
    pretraining=("mskcc",),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=NOT_READ,
)  # fmt: skip

# Four registers stand between the class token and the patch tokens. To average them into the patch mean (tokens[:, 1:])
# is a common mistake, also of published benchmarks.
VIRCHOW2 = dataclasses.replace(
    VIRCHOW,
    name="virchow2",
    title="Virchow2, ViT-H/14 with 4 registers, class token and mean of patch tokens",
    load=TimmHub(
        architecture=ARCHITECTURE,
        repo="paige-ai/Virchow2",
        revision="3158645804b69e3f3bc4439d4116edddf0840a72",
        filename="model.safetensors",
        sha256="8d6cea947eb2418c3b0dff48cfb9b238e47744ab0dfca21b2b0637b140769b4b",
        kwargs=KWARGS | {"reg_tokens": 4},
    ),
    prefix_tokens=5,
    license="CC-BY-NC-ND-4.0",
    reference="https://arxiv.org/abs/2408.00738",
    parameters=631_239_424,
)


def _class_token_alone(spec: ModelSpec) -> ModelSpec:
    title = spec.title.replace(", class token and mean of patch tokens", ", class token")
    return dataclasses.replace(spec, name=f"{spec.name}-cls", title=title, embed_dim=1280, pooling="cls")


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer both, in both poolings."""
    return [VIRCHOW, _class_token_alone(VIRCHOW), VIRCHOW2, _class_token_alone(VIRCHOW2)]
