"""Masked autoencoders on ImageNet, in three sizes: self-supervision without a word about pathology."""

from __future__ import annotations

from mitozoo import ModelSpec, Preprocessing, TimmHub, hookimpl

#: Commit and checksum of each weight file, where they were published.
PINS = {
    "b": (None, None),
    "l": (
        "4b308043edaf05585fd5762ea4fb78cf75d9ac4c",
        "d58a1a547a07c3c41917c23069dcaadab6f469a8cf793a3cba5fe404c344ab68",
    ),
    "h": (
        "bba791654d4388cc7952a8a875255e3b27cd045c",
        "4c1c77c532753bf1d5dc5ec1dd7052d819986a6532df5e1c81b821611948be98",
    ),
}


def mae(size: str, architecture: str, patch: int, embed_dim: int, parameters: int) -> ModelSpec:
    """Return one size of the family: the encoder's class token."""
    revision, sha256 = PINS[size]
    return ModelSpec(
        name=f"mae-vit{size}{patch}",
        title=f"MAE ViT-{size.upper()}/{patch}, ImageNet-1k",
        load=TimmHub(
            architecture=architecture,
            repo=f"timm/{architecture}.mae",
            revision=revision,
            filename="model.safetensors",
            sha256=sha256,
            kwargs={"num_classes": 0},
        ),
        preprocessing=Preprocessing(
            size=224, resize="short-side", resize_to=248, interpolation="bicubic", antialias=True,
            # 224 / 0.9, with timm, whose files these are; the authors' own evaluation resizes to 256
            mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=None, mpp_basis="none",
        ),
        embed_dim=embed_dim, pooling="cls", prefix_tokens=1, precision="fp32",
        license="CC-BY-NC-4.0",
        reference="https://arxiv.org/abs/2111.06377",
        parameters=parameters,
        pretraining=("ImageNet-1k",),
        lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
        unverified=("pooling",),
    )  # fmt: skip


MODELS = (
    mae("b", "vit_base_patch16_224", 16, 768, 85_798_656),
    mae("l", "vit_large_patch16_224", 16, 1024, 303_301_632),
    mae("h", "vit_huge_patch14_224", 14, 1280, 630_764_800),
)


@hookimpl
def mitozoo_models() -> tuple[ModelSpec, ...]:
    """Offer all three sizes."""
    return MODELS
