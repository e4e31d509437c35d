"""CTransPath and the patch encoder of CHIEF: a Swin-T with a convolutional stem, and two weight files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

if TYPE_CHECKING:
    import torch

#: The published keys are those of timm 0.5: downsampling ends a stage there, and begins the next one since. Each key
#: passes all rules in order, so the last stage comes first.
MODERN_SWIN = {
    r"^layers\.2\.downsample\.": "layers.3.downsample.",
    r"^layers\.1\.downsample\.": "layers.2.downsample.",
    r"^layers\.0\.downsample\.": "layers.1.downsample.",
}
COMPUTED_BY_TIMM = (r"relative_position_index$", r"attn_mask$")
RESIZE_224 = Preprocessing(
    size=224, resize="short-side", resize_to=224, interpolation="bilinear", antialias=True,
    # 20x tiles were trained on; the authors advise to 'first try to extract features at 1.0mpp'
    mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), mpp=1.0, mpp_basis="stated",
)  # fmt: skip


def conv_stem(
    *, img_size: tuple[int, int], patch_size: int, in_chans: int, embed_dim: int, norm_layer: Any, **rest: Any
) -> torch.nn.Module:
    """Return the stem that stands in for Swin's patch embedding: (n, 3, h, w) to (n, h / 4, w / 4, embed_dim).

    Two strided 3x3 convolutions of embed_dim / 8 and embed_dim / 4 channels, each with batch norm and ReLU, then a 1x1
    convolution and Swin's own norm (Xiao et al. 2021, as in ctran.py of Xiyue-Wang/TransPath).
    """
    from torch import nn

    assert patch_size == 4, "two strides of two make patches of 4 px"
    place = {key: rest.get(key) for key in ("device", "dtype")}

    class ConvStem(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.img_size, self.patch_size = img_size, (patch_size, patch_size)
            self.grid_size = (img_size[0] // patch_size, img_size[1] // patch_size)
            self.num_patches = self.grid_size[0] * self.grid_size[1]
            layers: list[nn.Module] = []
            channels = in_chans
            for width in (embed_dim // 8, embed_dim // 4):
                layers += [
                    nn.Conv2d(channels, width, kernel_size=3, stride=2, padding=1, bias=False, **place),
                    nn.BatchNorm2d(width, **place),
                    nn.ReLU(inplace=True),
                ]
                channels = width
            self.proj = nn.Sequential(*layers, nn.Conv2d(channels, embed_dim, kernel_size=1, **place))
            self.norm = norm_layer(embed_dim, **place) if norm_layer else nn.Identity()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.norm(self.proj(images).permute(0, 2, 3, 1))

    return ConvStem()


def weights(filename: str, sha256: str, repo: str) -> Checkpoint:
    """Return the source of one of the two published files, which share their layout."""
    return Checkpoint(
        architecture="timm:swin_tiny_patch4_window7_224", kwargs={"num_classes": 0, "embed_layer": conv_stem},
        repo=repo, revision=None, filename=filename, url="", sha256=sha256,
        entry="model", strip_prefix="", rename=MODERN_SWIN, drop=COMPUTED_BY_TIMM,
    )  # fmt: skip


CTRANSPATH = ModelSpec(
    name="ctranspath",
    title="CTransPath, Swin-T with a convolutional stem, SRCL",
    # The authors publish through Google Drive; the same bytes are mirrored in this repository. A second mirror, of a
    # converted file, is pinned elsewhere; this checksum is that of the original.
    load=weights(
        "ctranspath.pth", "7c998680060c8743551a412583fac689db43cec07053b72dfec6dcd810113539", "jamesdolezal/CTransPath"
    ),
    preprocessing=RESIZE_224,
    embed_dim=768, pooling="network", prefix_tokens=0, precision="fp32",
    license="GPL-3.0-only",  # and 'for non-commercial academic purposes'
    reference="https://doi.org/10.1016/j.media.2022.102559",
    parameters=27_520_038,
    pretraining=("tcga", "paip"),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=("load.repo",),
)  # fmt: skip

CHIEF = ModelSpec(
    name="chief",
    title="CHIEF's patch encoder: CTransPath's architecture, other weights",  # some peers call these 'ctranspath'
    load=weights(
        "CHIEF_CTransPath.pth", "1646f23001214f74cf432ef0e80b808ee6605143802ae6ed53a87564ddc4924a",
        "JWonderLand/CHIEF_unofficial",
    ),
    preprocessing=RESIZE_224,
    embed_dim=768, pooling="network", prefix_tokens=0, precision="fp32",
    license="AGPL-3.0-only", license_conflict=True,  # AGPL-3.0 in the repository, GPL-3.0 beside the weights
    reference="https://doi.org/10.1038/s41586-024-07894-z",
    parameters=27_520_038,
    pretraining=("tcga", "paip"),
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    unverified=("load.repo", "pretraining"),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer both."""
    return [CTRANSPATH, CHIEF]
