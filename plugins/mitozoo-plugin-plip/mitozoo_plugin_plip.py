"""PLIP: OpenAI's CLIP ViT-B/32, tuned on pathology images and their captions from Twitter."""

from __future__ import annotations

from mitozoo import ModelSpec, Preprocessing, TransformersHub, hookimpl

PLIP = ModelSpec(
    name="plip",
    title="PLIP, CLIP ViT-B/32 tuned on OpenPath",
    load=TransformersHub(
        repo="vinid/plip",
        revision="67ade53ddd32195868f422585f72698ef5d15094",
        filename="pytorch_model.bin",
        sha256="98a7f8d2a1f4a8fc8f6dedb3a16ff7efbe02a7ef67c93904c80bca9767c69630",
        model_class="transformers:CLIPModel",
        kwargs={},
        output="image_features",  # projected, and not L2-normalised
    ),
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bicubic", antialias=True,
        mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711), mpp=None, mpp_basis="none",
    ),
    embed_dim=512, pooling="network", prefix_tokens=1, precision="fp32",
    license="non-commercial", license_conflict=True,  # as a peer lists it; the authors' setup.py says MIT
    reference="https://doi.org/10.1038/s41591-023-02504-3",
    parameters=87_849_216,
    pretraining=("openpath",),
    lora_targets=(
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2",
    ),
    requires=("transformers>=4.40",),
    unverified=("license",),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer PLIP."""
    return [PLIP]
