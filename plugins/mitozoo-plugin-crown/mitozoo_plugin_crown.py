"""CROWN, for cytology: the class token of a ViT-L/16, trained by DINOv2."""

from __future__ import annotations

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

CROWN = ModelSpec(
    name="crown",
    title="CROWN, ViT-L/16, DINOv2 on cytology",
    load=Checkpoint(
        # DINOv2's vit_large(patch_size=16, ffn_layer="swiglufused"), whose gated layer is 2736 wide, in timm's words.
        architecture="timm:vit_large_patch16_224",
        kwargs={
            "img_size": 224, "init_values": 1.0, "mlp_ratio": 2 * 2736 / 1024, "num_classes": 0,
            "mlp_layer": "timm.layers:SwiGLUPacked", "act_layer": "torch.nn:SiLU",
        },
        repo="LexieK/Crown",
        revision=None,
        filename="CROWN.pth",
        url="",
        sha256=None,
        entry="",
        strip_prefix="",
        rename={r"^blocks\.\d+\.(\d+)\.": r"blocks.\1.", r"\.mlp\.w12\.": ".mlp.fc1.", r"\.mlp\.w3\.": ".mlp.fc2."},
        drop=(r"^mask_token$",),  # of training alone
    ),
    # The authors' test_linear.py; their README's example forgets to normalise.
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bilinear", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=0.5, mpp_basis="convention",
    ),
    embed_dim=1024, pooling="cls", prefix_tokens=1, precision="fp32",
    license="Apache-2.0",
    reference="https://doi.org/10.1038/s43018-026-01240-0",
    gated=True,
    parameters=303_777_024,
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=("license", "load.filename", "preprocessing.mpp"),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer it."""
    return [CROWN]
