"""Phaet and Mascaret: Phikon-v2 and Midnight, tuned by Waiv to be robust against scanners and stains."""

from __future__ import annotations

from mitozoo import ModelSpec, Preprocessing, TransformersHub, hookimpl


def waiv(
    name: str, title: str, revision: str, embed_dim: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> ModelSpec:
    """Return one of the two, which share their repository's code: its output is the L2-normalised class token."""
    return ModelSpec(
        name=name,
        title=title,
        load=TransformersHub(
            repo=f"wearewaiv/{name}",
            revision=revision,
            filename="model.safetensors",
            sha256=None,
            model_class="transformers:AutoModel",
            kwargs={},
            output="pooler_output",
            trust_remote_code=True,
        ),
        # the statistics stand in each repository's configuration, which only who was granted access can read
        preprocessing=Preprocessing(
            size=224, resize="short-side", resize_to=224, interpolation="bilinear", antialias=True,
            mean=mean, std=std, mpp=0.5, mpp_basis="convention",
        ),
        embed_dim=embed_dim, pooling="network", prefix_tokens=1, precision="fp32",
        license="Waiv non-commercial", gated=True,
        reference="https://arxiv.org/abs/2607.22861",
        pretraining=None,
        requires=("transformers>=4.40",),
        unverified=("load.filename", "preprocessing.mean", "preprocessing.std", "preprocessing.mpp", "precision"),
    )  # fmt: skip


PHAET = waiv(
    "phaet", "Phaet, ViT-L/16: Phikon-v2 made robust", "e0ce6e0ee248470bd8604823e412ca64048a2495",
    1024, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225),
)  # fmt: skip
MASCARET = waiv(
    "mascaret", "Mascaret, ViT-g/14: Midnight made robust", "e95e7ea15e039e78d74def101415e19d9a67ba80",
    1536, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer both."""
    return [PHAET, MASCARET]
