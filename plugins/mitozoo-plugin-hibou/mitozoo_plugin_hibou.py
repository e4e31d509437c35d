"""Hibou-B and Hibou-L of HistAI: the class token of DINOv2 transformers with four registers."""

from __future__ import annotations

import dataclasses

from mitozoo import ModelSpec, Preprocessing, TransformersHub, hookimpl

HIBOU_B = ModelSpec(
    name="hibou-b",
    title="Hibou-B, ViT-B/14 with 4 registers",
    load=TransformersHub(
        repo="histai/hibou-b",
        revision="7fdc8cce365ebfd9e7e60ee6ee9a8d4d59388f3c",
        filename="model.safetensors",
        sha256="2121db3cac83bc9abf13a458a37b0740e2ce725609ff8d4b8e6b6c56c30c3ab6",
        # The repository's own class is DINOv2 with registers, written before transformers had it, and fails under
        # transformers 5. The keys are the same, so transformers' own class holds the file, and no remote code runs.
        model_class="transformers:Dinov2WithRegistersModel",
        kwargs={},
        output="last_hidden_state",  # the authors take pooler_output, which is its first token
    ),
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bicubic", antialias=True,
        mean=(0.7068, 0.5755, 0.722), std=(0.195, 0.2316, 0.1816), mpp=0.5, mpp_basis="convention",
    ),
    embed_dim=768, pooling="cls", prefix_tokens=5, precision="fp32",
    license="Apache-2.0",
    reference="https://arxiv.org/abs/2406.05074",
    gated=True,
    parameters=85_741_056,
    pretraining=("histai-proprietary",),
    requires=("transformers>=4.48",),
    # The cards and configurations are gated; what they say is known from several tools that quote them.
    unverified=(
        "precision", "load.model_class", "preprocessing.resize", "preprocessing.interpolation",
        "preprocessing.mean", "preprocessing.std",
    ),
)  # fmt: skip

HIBOU_L = dataclasses.replace(
    HIBOU_B,
    name="hibou-l",
    title="Hibou-L, ViT-L/14 with 4 registers",
    load=dataclasses.replace(
        HIBOU_B.load,
        repo="histai/hibou-L",
        revision="31a3b9fee16554c8552cb643d311733bce8faf7c",
        sha256="a63d1699448143ceccf2b7e1c4bf35b995c51f86ef8a6efb471af2eee210b79c",
    ),
    embed_dim=1024,
    parameters=303_659_264,
)


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer both."""
    return [HIBOU_B, HIBOU_L]
