"""EXAONEPath 1.0: a DINO ViT-B/16 that sees every patch in the stain of one reference slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo import Checkpoint, ModelSpec, Preprocessing, hookimpl

if TYPE_CHECKING:
    import torch

REPO = "LGAI-EXAONE/EXAONEPath"
REFERENCE_TILE = "macenko_target/target_TCGA-55-A48X_coords_[19440  9824]_[4096 4096].png"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build_exaonepath() -> torch.nn.Module:
    """Return the ViT behind Macenko's stain normalisation, untrained; fetches the authors' reference tile.

    The authors' constants: light of 240, a transparency threshold of 0.15 in optical density, percentiles 1 and 99
    (`macenko.py` of LG-AI-EXAONE/EXAONEPath). A patch that cannot be normalised passes as it is, as with them. They
    normalise before the tile is resized; here it is the resized patch, which is what a network is given.
    """
    import numpy as np
    import timm
    import torch
    from PIL import Image
    from torch import nn

    from mitozoo.models.hub import hub_file

    light, threshold, low, high = 240.0, 0.15, 1.0, 99.0

    def percentile(values: torch.Tensor, q: float) -> torch.Tensor:
        """Return the value of that rank, without interpolation, as torchstain does."""
        return values.kthvalue(1 + round(0.01 * q * (len(values) - 1))).values

    def stains_of(density: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the stain vectors (3, 2) of optical densities (pixels, 3), and the concentrations (2, pixels)."""
        opaque = density[(density >= threshold).all(dim=1)]
        if len(opaque) < 2:
            raise ValueError("no tissue")
        plane = torch.linalg.eigh(torch.cov(opaque.T))[1][:, 1:]
        angle = torch.atan2(*(opaque @ plane).flip(1).unbind(1))
        ends = [percentile(angle, q) for q in (low, high)]
        first, second = (plane @ torch.stack((end.cos(), end.sin())) for end in ends)
        if first[0] <= second[0]:  # haematoxylin takes more of the red
            first, second = second, first
        stains = torch.stack((first, second), dim=1)
        return stains, torch.linalg.lstsq(stains, density.T).solution

    def density_of(pixels: torch.Tensor) -> torch.Tensor:
        return -((pixels + 1) / light).log()  # (pixels, 3) in 0..255

    def strongest(concentrations: torch.Tensor) -> torch.Tensor:
        return torch.stack([percentile(row, high) for row in concentrations])

    class StainedAsReference(nn.Module):
        def __init__(self, tile: torch.Tensor) -> None:
            super().__init__()
            stains, concentrations = stains_of(density_of(tile.flatten(0, 1)))
            for name, value in {
                "stains": stains,
                "strongest": strongest(concentrations),
                "mean": torch.tensor(IMAGENET_MEAN).view(3, 1, 1),
                "std": torch.tensor(IMAGENET_STD).view(3, 1, 1),
            }.items():
                self.register_buffer(name, value, persistent=False)
            self.vit = timm.create_model("vit_base_patch16_224", num_classes=0)
            self.num_prefix_tokens = self.vit.num_prefix_tokens

        def normalise(self, image: torch.Tensor) -> torch.Tensor:
            """Give one image (3, h, w) in 0..1 the reference's stains."""
            try:
                _, concentrations = stains_of(density_of(255 * image.flatten(1).T))
            except (ValueError, RuntimeError):  # no tissue, or stains that cannot be told apart
                return image
            scaled = concentrations * (self.strongest / strongest(concentrations)).unsqueeze(1)
            restored = (light * (-self.stains @ scaled).exp()).clamp(max=255) / 255
            return restored.view_as(image) if restored.isfinite().all() else image

        def forward_features(self, images: torch.Tensor) -> torch.Tensor:
            with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
                raw = images.float() * self.std + self.mean
                restored = torch.stack([self.normalise(image) for image in raw])
                prepared = (restored - self.mean) / self.std
            return self.vit.forward_features(prepared.to(images.dtype))

    tile = np.asarray(Image.open(hub_file(REPO, REFERENCE_TILE, None)).convert("RGB"))
    return StainedAsReference(torch.from_numpy(tile.copy()).float())


EXAONEPATH = ModelSpec(
    name="exaonepath",
    title="EXAONEPath 1.0, ViT-B/16 DINO behind Macenko's stain normalisation",
    load=Checkpoint(
        architecture=build_exaonepath, kwargs={},
        repo="", revision=None, filename="EXAONEPath.ckpt",
        url="https://github.com/LG-AI-EXAONE/EXAONEPath/releases/download/1.0.0/EXAONEPath.ckpt", sha256=None,
        entry="state_dict", strip_prefix="",
        rename={r"^(?=(cls_token|pos_embed|patch_embed|blocks|norm)\b)": "vit."},
        drop=(r"^(?!vit\.)",),  # the authors load what fits and leave the rest
    ),
    preprocessing=Preprocessing(
        size=224, resize="short-side", resize_to=256, interpolation="bicubic", antialias=True,
        mean=IMAGENET_MEAN, std=IMAGENET_STD, mpp=0.5, mpp_basis="stated",
    ),
    embed_dim=768, pooling="cls", prefix_tokens=1, precision="fp32",
    license="EXAONEPath AI Model License Agreement 1.0 - NC", gated=True,  # the reference tile is; the weights are not
    reference="https://arxiv.org/abs/2408.00380",
    parameters=85_798_656,
    pretraining=None,
    lora_targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
    side_effects="normalises each patch's stain inside the network, one by one, in fp32; fetches a reference tile",
    also_fetches=(f"{REPO}/{REFERENCE_TILE}",),
    unverified=("preprocessing.mpp",),
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer EXAONEPath."""
    return [EXAONEPATH]
