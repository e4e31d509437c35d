"""BiomedCLIP: a CLIP model of figures and captions from PubMed Central."""

from __future__ import annotations

from mitozoo import ModelSpec, OpenClipHub, Preprocessing, hookimpl

BIOMEDCLIP = ModelSpec(
    name="biomedclip",
    title="BiomedCLIP, ViT-B/16 beside PubMedBERT",
    load=OpenClipHub(
        architecture="ViT-B-16",  # open_clip has no name for it: the file's own configuration follows
        repo="microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        revision="9f341de24bfb00180f1b847274256e9b65a3a32e",
        filename="open_clip_pytorch_model.bin",
        sha256="52cc993c5c5ff962bd0c60931874bc001e7e9b41666a385530f4a036294576be",
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
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bicubic", antialias=True,
        mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711), mpp=None, mpp_basis="none",
    ),
    embed_dim=512, pooling="network", prefix_tokens=1, precision="fp32",
    license="MIT",
    reference="https://arxiv.org/abs/2303.00915",
    parameters=86_191_872,
    pretraining=("pmc-15m",),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    requires=("open_clip_torch>=2.24",),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer BiomedCLIP."""
    return [BIOMEDCLIP]
