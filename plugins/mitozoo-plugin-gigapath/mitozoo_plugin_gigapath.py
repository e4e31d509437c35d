"""The tile encoders of Prov-GigaPath: a ViT-g/16, and its small successor Flash, a ViT-S/16, by the class token."""

from __future__ import annotations

from mitozoo import ModelSpec, Preprocessing, TimmHub, hookimpl

LORA_TARGETS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")


def _preprocessing(mpp_basis: str) -> Preprocessing:
    """Return the transform of the authors' pipeline.py; the hub's crop_pct of 1 would shrink tiles, not crop them."""
    return Preprocessing(
        size=224, resize="short-side", resize_to=256, interpolation="bicubic", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=0.5, mpp_basis=mpp_basis,
    )  # fmt: skip


PROV_GIGAPATH = ModelSpec(
    name="prov-gigapath",
    title="Prov-GigaPath tile encoder, ViT-g/16",
    aliases=("gigapath",),
    load=TimmHub(
        architecture="vit_giant_patch14_dinov2",  # its name says 14; patch_size=16 is what was trained
        repo="prov-gigapath/prov-gigapath",
        revision="eba85dd46097c3eedfcc2a3a9a930baecb6bcc19",
        filename="pytorch_model.bin",
        sha256="877947214318afa9e011754b74bbc3894a1f480a253afc7bc8045b8321dedd63",
        kwargs={
            "img_size": 224, "in_chans": 3, "patch_size": 16, "embed_dim": 1536, "depth": 40, "num_heads": 24,
            "mlp_ratio": 5.33334, "init_values": 1e-5, "num_classes": 0,
        },
    ),
    preprocessing=_preprocessing("stated"),
    embed_dim=1536, pooling="cls", prefix_tokens=1, precision="fp16",
    license="Apache-2.0",  # the card sets limits of use besides
    reference="https://doi.org/10.1038/s41586-024-07441-w",
    gated=True,
    parameters=1_134_953_984,
    pretraining=("providence",),
    lora_targets=LORA_TARGETS,
)  # fmt: skip

PROV_GIGAPATH_FLASH = ModelSpec(
    name="prov-gigapath-flash",
    title="Prov-GigaPath-Flash tile encoder, ViT-S/16",
    aliases=("gigapath-flash",),
    load=TimmHub(
        # The authors' gigapath_tile_enc_dinov2s, built from timm's parts; through their own name
        # timm.create_model(..., pretrained=True) returns random weights without a word.
        architecture="vit_small_patch16_224",
        repo="prov-gigapath/prov-gigapath-flash",
        revision="f5c3a709ad81d3a5605bb2eb38cd5c2e53da0375",
        filename="pytorch_model.bin",
        sha256="ea5e36c2b3593b073868f91b9016559a620f0d6752e3861cb2bb0b5312238473",
        kwargs={
            "img_size": 224, "mlp_ratio": 2048 / 384, "init_values": 1e-5, "num_classes": 0,
            "mlp_layer": "timm.layers:SwiGLUPacked", "act_layer": "torch.nn:SiLU",
        },
    ),
    preprocessing=_preprocessing("magnification"),
    embed_dim=384, pooling="cls", prefix_tokens=1, precision="fp16",
    license="Apache-2.0",
    reference="https://arxiv.org/abs/2607.18218",
    gated=True,
    parameters=21_681_024,
    lora_targets=LORA_TARGETS,
    unverified=("preprocessing.mpp",),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer both."""
    return [PROV_GIGAPATH, PROV_GIGAPATH_FLASH]
