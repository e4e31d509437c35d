"""RudolfV-2 of Aignostics, in three sizes: vision transformers with patches of 8 px and eight registers."""

from __future__ import annotations

import dataclasses

from mitozoo import ModelSpec, Preprocessing, TransformersHub, hookimpl

RUDOLFV_2 = ModelSpec(
    name="rudolfv-2",
    title="RudolfV-2, ViT-g/8 with 8 registers, class token",
    load=TransformersHub(
        repo="Aignostics/RudolfV-2",
        revision="482d9519c6a10fc22fbe5bcd6a87d5daf056643c",
        filename="model.safetensors",
        sha256=None,
        model_class="transformers:AutoModel",
        kwargs={},
        output="last_hidden_state",
        trust_remote_code=True,
    ),
    preprocessing=Preprocessing(
        size=224, resize="square", resize_to=224, interpolation="bicubic", antialias=True,
        mean=(0.7072, 0.5787, 0.7036), std=(0.2119, 0.2301, 0.1775),
        mpp=0.5, mpp_basis="stated",  # of the four that they support: 2, 1, 0.5 and 0.25
    ),
    embed_dim=1536, pooling="cls", prefix_tokens=9, precision="fp32",
    license="CC-BY-NC-ND-4.0",  # with further terms
    reference="https://huggingface.co/Aignostics/RudolfV-2",
    gated=True,
    parameters=1_133_789_200,  # as the hub counts; its code cannot be built here
    requires=("transformers>=4.40",),
    # The cards are gated; what they say is known from two tools that quote them.
    unverified=(
        "precision", "parameters", "prefix_tokens", "load.filename", "preprocessing.resize",
        "preprocessing.interpolation", "preprocessing.mean", "preprocessing.std", "preprocessing.mpp",
    ),
)  # fmt: skip


def _distilled(letter: str, revision: str, embed_dim: int) -> ModelSpec:
    return dataclasses.replace(
        RUDOLFV_2,
        name=f"rudolfv-2-{letter.lower()}",
        title=f"RudolfV-2-{letter}, ViT-{letter}/8 with 8 registers, class token",
        load=dataclasses.replace(RUDOLFV_2.load, repo=f"Aignostics/RudolfV-2-{letter}", revision=revision),
        embed_dim=embed_dim,
        reference=f"https://huggingface.co/Aignostics/RudolfV-2-{letter}",
        parameters=None,  # published only as 85.2 and 21.4 million
    )


def _with_patch_mean(spec: ModelSpec) -> ModelSpec:
    return dataclasses.replace(
        spec,
        name=f"{spec.name}-cls-mean",
        title=f"{spec.title} and mean of patch tokens",
        embed_dim=2 * spec.embed_dim,
        pooling="cls+mean",
    )


CLASS_TOKENS = (
    RUDOLFV_2,
    _distilled("B", "b2cb55c8fff8aaaf9cc16fda6d09bfb21dfc6db8", 768),
    _distilled("S", "76abacd512a98c72a6db6192af9fc98313c3bd78", 384),
)


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer all three, in both poolings."""
    return [*CLASS_TOKENS, *map(_with_patch_mean, CLASS_TOKENS)]
