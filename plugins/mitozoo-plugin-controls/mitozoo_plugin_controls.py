"""Image controls: what the colours of a patch tell, without its shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo import ModelSpec, Preprocessing, hookimpl

if TYPE_CHECKING:
    import torch

RGB_FROM_HED = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))  # Ruifrok and Johnston 2001
QUANTILES = (0.05, 0.25, 0.50, 0.75, 0.95)


def load_colour_statistics() -> torch.nn.Module:
    """Return a network of no weights: (n, 3, h, w) in 0..1 to the mean, sd and quantiles of R, G, B, H, E, D."""
    import math

    import torch

    class ColourStatistics(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            hed_from_rgb = torch.linalg.inv(torch.tensor(RGB_FROM_HED, dtype=torch.float64))
            self.register_buffer("hed_from_rgb", hed_from_rgb.float(), persistent=False)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            rgb = images.float().flatten(2)  # (n, 3, pixels)
            density = rgb.clamp_min(1e-6).log() / math.log(1e-6)  # as skimage.color.rgb2hed: black is 1, not infinite
            hed = torch.einsum("ncp,cs->nsp", density, self.hed_from_rgb).clamp_min(0)
            ordered = torch.cat((rgb, hed), dim=1).sort(dim=2).values  # torch.quantile refuses large batches
            sd, mean = torch.std_mean(ordered, dim=2, correction=0)
            places = torch.tensor(QUANTILES, device=rgb.device) * (ordered.shape[2] - 1)
            below, above = ordered[..., places.floor().long()], ordered[..., places.ceil().long()]
            quantiles = below + (above - below) * places.frac()
            return torch.cat((mean, sd, quantiles.flatten(1)), dim=1)

    return ColourStatistics()


COLOUR_STATISTICS = ModelSpec(
    name="colour-statistics",
    title="Control: colour statistics of RGB and HED",
    load=load_colour_statistics,
    preprocessing=Preprocessing(
        size=64, resize="square", resize_to=64, interpolation="bilinear", antialias=True,
        mean=(0, 0, 0), std=(1, 1, 1), mpp=None, mpp_basis="none",
    ),
    embed_dim=42, pooling="network", prefix_tokens=0, precision="fp32",
    license="Apache-2.0",
    reference="https://pubmed.ncbi.nlm.nih.gov/11531144/",
    parameters=0,
    pretraining=(),
    controls_only=True,
)  # fmt: skip


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer the one control that is a fixed model."""
    return [COLOUR_STATISTICS]
