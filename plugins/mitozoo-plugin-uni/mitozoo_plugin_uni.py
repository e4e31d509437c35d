"""UNI and UNI2-h of the Mahmood Lab: the class token of a ViT-L/16 and of a ViT-H/14 with eight registers."""

from __future__ import annotations

from mitozoo import ModelSpec, Preprocessing, TimmHub, hookimpl

LORA_TARGETS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
PAPER = "https://doi.org/10.1038/s41591-024-02857-3"

# The README says transforms.Resize(224), which is bilinear, and ImageNet statistics. The bare timm architecture's own
# configuration (mean 0.5, crop 0.9) and a bicubic resize are common mistakes.
PREPROCESSING = Preprocessing(
    size=224, resize="short-side", resize_to=224, interpolation="bilinear", antialias=True,
    mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=0.5, mpp_basis="magnification",
)  # fmt: skip

UNI = ModelSpec(
    name="uni",
    title="UNI, ViT-L/16, DINOv2 on Mass-100K",
    load=TimmHub(
        architecture="vit_large_patch16_224",
        repo="MahmoodLab/UNI",
        revision="b55a5ec6cade1a39edfe6534189a9b8ca7a022f0",
        filename="pytorch_model.bin",
        sha256="56ef09b44a25dc5c7eedc55551b3d47bcd17659a7a33837cf9abc9ec4e2ffb40",
        # The hub's configuration says init_values=1.0; any value builds the same layer scale, which the file fills.
        kwargs={"img_size": 224, "init_values": 1e-5, "num_classes": 0, "dynamic_img_size": True},
    ),
    preprocessing=PREPROCESSING,
    embed_dim=1024, pooling="cls", prefix_tokens=1, precision="fp32",
    license="CC-BY-NC-ND-4.0",
    reference=PAPER,
    gated=True,
    parameters=303_350_784,
    pretraining=("mass-100k", "gtex"),  # Mass-100K: Massachusetts General, Brigham and Women's, and GTEx
    lora_targets=LORA_TARGETS,
)  # fmt: skip

UNI2_H = ModelSpec(
    name="uni2-h",
    title="UNI2-h, ViT-H/14 with 8 registers",
    aliases=("uni2",),
    load=TimmHub(
        architecture="vit_giant_patch14_224",
        repo="MahmoodLab/UNI2-h",
        revision="d517a8dd47902dd7c308b3c36f63bce47e7b9a43",
        filename="pytorch_model.bin",
        sha256="6e077eda234bebc595868d918d3458d9dd32a050199b0ff04443b2f46a0a3b1e",
        kwargs={
            "img_size": 224, "patch_size": 14, "depth": 24, "num_heads": 24, "embed_dim": 1536,
            "init_values": 1e-5, "mlp_ratio": 2.66667 * 2, "num_classes": 0, "no_embed_class": True, "reg_tokens": 8,
            "mlp_layer": "timm.layers:SwiGLUPacked", "act_layer": "torch.nn:SiLU", "dynamic_img_size": True,
        },
    ),
    preprocessing=PREPROCESSING,
    # fp32: the README's example runs no autocast; the lab's later tool TRIDENT runs bf16.
    embed_dim=1536, pooling="cls", prefix_tokens=9, precision="fp32",
    license="CC-BY-NC-ND-4.0",
    reference=PAPER,
    gated=True,
    parameters=681_394_176,
    pretraining=("mass-general-brigham",),
    lora_targets=LORA_TARGETS,
    unverified=("precision", "preprocessing.interpolation", "preprocessing.mean", "preprocessing.std"),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer both."""
    return [UNI, UNI2_H]
