"""DINOv3 on natural images, in five sizes and two poolings."""

from __future__ import annotations

from mitozoo import ModelSpec, Preprocessing, TimmHub, hookimpl

#: Name, timm's word, embedding dimension and parameters.
SIZES = {
    "S": ("s16", "small", 384, 21_586_944),
    "B": ("b16", "base", 768, 85_641_216),
    "L": ("l16", "large", 1024, 303_079_424),
    "H+": ("h16plus", "huge_plus", 1280, 840_509_440),
    "7B": ("7b16", "7b", 4096, 6_716_030_976),  # 27 GB in fp32
}


def dinov3(size: str, *, of_patches: bool) -> ModelSpec:
    """Return one size under one pooling: the class token as Meta does, or the patch tokens' mean as timm does."""
    short, long, embed_dim, parameters = SIZES[size]
    architecture = f"vit_{long}_patch16_dinov3"
    gated_mlp = ("mlp.fc1_g", "mlp.fc1_x") if size in ("H+", "7B") else ("mlp.fc1",)
    return ModelSpec(
        name=f"dinov3-vit{short}-mean" if of_patches else f"dinov3-vit{short}",
        title=f"DINOv3 ViT-{size}/16, LVD-1689M, {'mean of patch tokens' if of_patches else 'class token'}",
        load=TimmHub(
            architecture=architecture,
            repo=f"timm/{architecture}.lvd1689m",  # Meta's own repositories (facebook/dinov3-*) are gated
            revision=None,
            filename="model.safetensors",
            sha256=None,
            kwargs={"num_classes": 0},
        ),
        preprocessing=Preprocessing(
            size=256, resize="short-side", resize_to=256, interpolation="bicubic", antialias=True,
            mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=None, mpp_basis="none",
        ),
        embed_dim=embed_dim, pooling="mean" if of_patches else "cls", prefix_tokens=5, precision="fp32",
        license="DINOv3 License",
        reference="https://arxiv.org/abs/2508.10104",
        parameters=parameters,
        pretraining=("lvd-1689m",),
        lora_targets=("attn.qkv", "attn.proj", *gated_mlp, "mlp.fc2"),
        requires=("timm>=1.0.20",),
        # the largest may lie in several files, which nobody here has seen
        unverified=("gated", "load.filename") if size == "7B" else ("gated",),
    )  # fmt: skip


MODELS = tuple(dinov3(size, of_patches=of_patches) for of_patches in (False, True) for size in SIZES)


@hookimpl
def mitozoo_models() -> tuple[ModelSpec, ...]:
    """Offer five sizes by their class token, and the same by the mean of their patch tokens."""
    return MODELS
