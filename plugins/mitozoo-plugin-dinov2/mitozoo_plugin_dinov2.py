"""DINOv2 on natural images, in four sizes: what a pathology encoder of its kind has to beat."""

from __future__ import annotations

from mitozoo import ModelSpec, Preprocessing, TimmHub, hookimpl

#: Commit and checksum of each weight file, where they were published.
PINS = {
    "s": (
        "4610ca143709d58a633b6397a74412c2c3842454",
        "04d27f3400d059fc0cfd7d17dd1909a75bf3ea8fb3eeb48b97cb99e57ee20081",
    ),
    "b": (
        "4685c99dabffe5affac90bd99dbffd25801ae58d",
        "55cbb5d887b336d430e649c277b85a1429e724871f9d02ac16203235886d8c7b",
    ),
    "l": (
        "4741e1cafbf45415e77074bb0cb42dba76c8684a",
        "0424a5d1b515278cba3c6640ccbeaacc41de59d3a93df0dd5e494285eea2b355",
    ),
    "g": (None, None),
}


def dinov2(size: str, architecture: str, embed_dim: int, parameters: int) -> ModelSpec:
    """Return one size of the family: the class token, without registers."""
    revision, sha256 = PINS[size]
    return ModelSpec(
        name=f"dinov2-vit{size}14",
        title=f"DINOv2 ViT-{size if size == 'g' else size.upper()}/14, LVD-142M",
        # trained at 518 px last; at 224, as in training and in every pathology comparison, positions are resampled
        load=TimmHub(
            architecture=architecture,
            repo=f"timm/{architecture}.lvd142m",
            revision=revision,
            filename="model.safetensors",
            sha256=sha256,
            kwargs={"img_size": 224, "num_classes": 0},
            resample_positions=True,
        ),
        # timm's crop_pct of 1; the processor beside Meta's own weights resizes to 256 and crops 224
        preprocessing=Preprocessing(
            size=224, resize="short-side", resize_to=224, interpolation="bicubic", antialias=True,
            mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=None, mpp_basis="none",
        ),
        embed_dim=embed_dim, pooling="cls", prefix_tokens=1, precision="fp32",
        license="Apache-2.0",
        reference="https://arxiv.org/abs/2304.07193",
        parameters=parameters,
        pretraining=("lvd-142m",),
        lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    )  # fmt: skip


MODELS = (
    dinov2("s", "vit_small_patch14_dinov2", 384, 21_628_800),
    dinov2("b", "vit_base_patch14_dinov2", 768, 85_724_928),
    dinov2("l", "vit_large_patch14_dinov2", 1024, 303_227_904),
    dinov2("g", "vit_giant_patch14_dinov2", 1536, 1_134_769_664),
)


@hookimpl
def mitozoo_models() -> tuple[ModelSpec, ...]:
    """Offer all four sizes."""
    return MODELS
