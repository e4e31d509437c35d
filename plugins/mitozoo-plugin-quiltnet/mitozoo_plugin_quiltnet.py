"""QuiltNet: three CLIP models tuned on Quilt-1M, pathology images and captions from teaching videos."""

from __future__ import annotations

from typing import Any

from mitozoo import ModelSpec, OpenClipHub, Preprocessing, hookimpl

CLIP_RESIZE_224 = Preprocessing(
    size=224, resize="short-side", resize_to=224, interpolation="bicubic", antialias=True,
    mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711), mpp=None, mpp_basis="none",
)  # fmt: skip


def quiltnet(**fields: Any) -> ModelSpec:
    """Return a spec of the family: the projected class token, not L2-normalised."""
    return ModelSpec(
        preprocessing=CLIP_RESIZE_224,
        embed_dim=512, pooling="network", prefix_tokens=1, precision="fp32",
        license="MIT",
        reference="https://arxiv.org/abs/2306.11207",
        pretraining=("quilt-1m",),
        requires=("open_clip_torch>=2.24",),
        **fields,
    )  # fmt: skip


# The first two began as OpenAI's weights, which run QuickGELU. Their authors name open_clip's plain ViT-B-32 and
# ViT-B-16, which run GELU; the configuration files beside the weights, which decide it, were not read.
QUILTNET_B_32 = quiltnet(
    name="quiltnet-b-32",
    title="QuiltNet, CLIP ViT-B/32",
    load=OpenClipHub(
        architecture="ViT-B-32",
        repo="wisdomik/QuiltNet-B-32",
        revision="8ce77289ce35a90b2f1db1137dfa4bc2df175e33",
        filename="open_clip_pytorch_model.bin",
        sha256="e88815d05f50493a54fc2bab7ccf54075d24339d7b217e6f173c0c158ace92e7",
        kwargs={},
    ),
    parameters=87_849_216,
    lora_targets=("mlp.c_fc", "mlp.c_proj"),
    unverified=("load.architecture",),
)
QUILTNET_B_16 = quiltnet(
    name="quiltnet-b-16",
    title="QuiltNet, CLIP ViT-B/16",
    load=OpenClipHub(
        architecture="ViT-B-16",
        repo="wisdomik/QuiltNet-B-16",
        revision="3e346212d6a2828bd9e44416f6b2eba562ccca7d",
        filename="open_clip_pytorch_model.bin",
        sha256="b059d20776597f0f4ab92635b24b756376fd669b580d6b266c8daa184b0f7379",
        kwargs={},
    ),
    parameters=86_192_640,
    lora_targets=("mlp.c_fc", "mlp.c_proj"),
    unverified=("load.architecture",),
)
QUILTNET_B_16_PMB = quiltnet(
    name="quiltnet-b-16-pmb",
    title="QuiltNet, ViT-B/16 beside PubMedBERT",
    load=OpenClipHub(
        architecture="ViT-B-16",
        repo="wisdomik/QuiltNet-B-16-PMB",
        revision="deb13a5596f2ff72a501fa121b26b3a4ed81705d",
        filename="open_clip_pytorch_model.bin",
        sha256="642a4702d0fc9fd0ab0388d0340cb19ff8d234fd79155679d88f78e4ac0880e1",
        # the tower of BiomedCLIP: timm's ViT-B/16 and a linear projection of its class token, without a bias
        kwargs={
            "embed_dim": 512,
            "vision_cfg": {
                "timm_model_name": "vit_base_patch16_224",
                "timm_model_pretrained": False,
                "timm_pool": "",
                "timm_proj": "linear",
                "image_size": 224,
            },
        },
    ),
    parameters=86_191_872,
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=("load.kwargs",),
)


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer all three."""
    return [QUILTNET_B_32, QUILTNET_B_16, QUILTNET_B_16_PMB]
