"""CLIP's image towers as OpenAI trained them, on pairs of image and text from the web."""

from __future__ import annotations

from mitozoo import ModelSpec, OpenClipHub, Preprocessing, hookimpl


def clip_spec(name: str, title: str, architecture: str, repo: str, embed_dim: int, parameters: int) -> ModelSpec:
    """Return one size of the family: the projected class token, not L2-normalised."""
    return ModelSpec(
        name=name,
        title=title,
        load=OpenClipHub(
            architecture=architecture,  # OpenAI's weights were trained with QuickGELU; the plain names run GELU
            repo=repo,
            revision=None,
            filename="open_clip_pytorch_model.bin",
            sha256=None,
            kwargs={},
        ),
        # the whole short side, as OpenAI and open_clip; timm's configurations of the same weights crop to 0.9 of it
        preprocessing=Preprocessing(
            size=224, resize="short-side", resize_to=224, interpolation="bicubic", antialias=True,
            mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711),
            mpp=None, mpp_basis="none",
        ),
        embed_dim=embed_dim, pooling="network", prefix_tokens=1, precision="fp32",
        license="MIT",  # OpenAI's own word; timm's copies of the weights say Apache-2.0
        reference="https://arxiv.org/abs/2103.00020",
        parameters=parameters,
        pretraining=("wit-400m",),
        lora_targets=("mlp.c_fc", "mlp.c_proj"),
        requires=("open_clip_torch>=2.24",),
    )  # fmt: skip


MODELS = (
    clip_spec(
        "clip-vit-b-32", "CLIP ViT-B/32 (OpenAI)", "ViT-B-32-quickgelu", "timm/vit_base_patch32_clip_224.openai",
        512, 87_849_216,
    ),
    clip_spec(
        "clip-vit-b-16", "CLIP ViT-B/16 (OpenAI)", "ViT-B-16-quickgelu", "timm/vit_base_patch16_clip_224.openai",
        512, 86_192_640,
    ),
    clip_spec(
        "clip-vit-l-14", "CLIP ViT-L/14 (OpenAI)", "ViT-L-14-quickgelu", "timm/vit_large_patch14_clip_224.openai",
        768, 303_966_208,
    ),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> tuple[ModelSpec, ...]:
    """Offer all three sizes."""
    return MODELS
