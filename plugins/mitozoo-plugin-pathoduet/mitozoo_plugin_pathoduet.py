"""PathoDuet for H&E: a MoCo v3 ViT-B/16 with one more token, which held a piece of tissue in training."""

from __future__ import annotations

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

PATHODUET = ModelSpec(
    name="pathoduet",
    title="PathoDuet H&E, ViT-B/16 MoCo v3 and patch positioning",
    load=Checkpoint(
        architecture="timm:vit_base_patch16_224",
        # The pretext token stands before the class token there, a register after it here: attention does not care, and
        # the positions of both are zero. The authors pool the patch tokens alone, then normalise (fc_norm).
        kwargs={"num_classes": 0, "reg_tokens": 1, "global_pool": "avg"},
        # the authors publish through Google Drive; fetch checkpoint_HE.pth by hand
        repo="", revision=None, filename="checkpoint_HE.pth", url="", sha256=None,
        entry="", strip_prefix="", rename={r"^pretext_token$": "reg_token"}, drop=(),
    ),
    # 'we do not use a normalize function': pixels go in as 0..1
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=224, interpolation="bilinear", antialias=True,
        mean=(0, 0, 0), std=(1, 1, 1), mpp=None, mpp_basis="none",
    ),
    embed_dim=768, pooling="network", prefix_tokens=2, precision="fp32",
    license="CC-BY-NC-4.0",
    reference="https://arxiv.org/abs/2312.09894",
    parameters=85_800_192,
    pretraining=("tcga",),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=("load.filename", "preprocessing.resize_to", "preprocessing.interpolation", "preprocessing.mpp"),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer PathoDuet."""
    return [PATHODUET]
