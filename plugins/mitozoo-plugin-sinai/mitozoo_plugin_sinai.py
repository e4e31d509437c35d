"""SP22M and SP85M of Mount Sinai: the class token of a ViT-S/16 and of a ViT-B/16, trained by DINO."""

from __future__ import annotations

import dataclasses

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

SP22M = ModelSpec(
    name="sp22m",
    title="SP22M, ViT-S/16, DINO on three billion tiles",
    load=Checkpoint(
        architecture="timm:vit_small_patch16_224",
        kwargs={"num_classes": 0},
        repo="MountSinaiCompPath/SP22M",
        revision="8f636e50446c6b45008fa8cecf30f7bc92633a11",
        filename="pytorch_model.bin",
        url="",
        sha256="4776892690a941a5728157c38d64aab549d7b861394a328cf3a5620222c4ff41",
        entry="",
        strip_prefix="encoder.",  # the authors' class keeps the transformer as self.encoder
        rename={},
        drop=(),
    ),
    # The card normalises and resizes nothing, so the filter is ours, for tiles of another side.
    preprocessing=Preprocessing(
        size=224, resize="none", resize_to=224, interpolation="bicubic", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=0.5, mpp_basis="stated",
    ),
    embed_dim=384, pooling="cls", prefix_tokens=1, precision="fp32",
    license="CC-BY-NC-SA-4.0",
    reference="https://arxiv.org/abs/2310.07033",
    parameters=21_665_664,
    pretraining=("mount-sinai",),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=("preprocessing.interpolation",),
)  # fmt: skip

SP85M = dataclasses.replace(
    SP22M,
    name="sp85m",
    title="SP85M, ViT-B/16, DINO on three billion tiles",
    load=dataclasses.replace(
        SP22M.load,
        architecture="timm:vit_base_patch16_224",  # the card's own example builds a vit_small, which cannot hold it
        repo="MountSinaiCompPath/SP85M",
        revision=None,
        sha256=None,
    ),
    embed_dim=768,
    parameters=85_798_656,
)


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer both."""
    return [SP22M, SP85M]
