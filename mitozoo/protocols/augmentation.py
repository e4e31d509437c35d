"""Random views of a patch for training: turned, mirrored, scaled, shifted a little, stained a little differently."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mitozoo.models.devices import send

#: The annotated centre stays inside the central quarter of the view: it moves by at most this share of the
#: side in either direction.
MAX_SHIFT = 1 / 16
MAX_SCALE = 0.1
STAIN_STRENGTH = 0.1
BRIGHTNESS = 0.1
#: Width of the tissue that must lie around an image, a share of its side, so that what shift and scale bring into view
#: is tissue: (1 + MAX_SCALE) (1 + 2 MAX_SHIFT) is less than 1 + 2 MARGIN. Only the tips of turned corners are mirrored.
MARGIN = 1 / 8

# Optical densities of red, green and blue for haematoxylin, eosin and a third stain (Ruifrok and Johnston 2001)
_STAINS = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])


def augment(images: Tensor, generator: torch.Generator, side: int | None = None) -> Tensor:
    """Return one random view (n, 3, side, side) of each image.

    Args:
        images: float (n, 3, side + margins, side + margins), 0..1; beyond them lies their mirror image.
        generator: a CPU generator; the same state gives the same views on every device.
        side: of a view and of what it is a view of, the middle of each image; None: that is the whole image.
    """
    motions = send(random_motions(len(images), generator), images.device)
    return _restain(_move(images, motions, side or images.shape[-1]), generator)


def random_motions(count: int, generator: torch.Generator) -> Tensor:
    """Return (count, 2, 3) affine maps from a view's coordinates to the image's, both in -1..1."""
    turn = 2 * math.pi * torch.rand(count, generator=generator)
    scale = 1 + MAX_SCALE * (2 * torch.rand(count, generator=generator) - 1)
    mirror = 1 - 2 * torch.randint(2, (count,), generator=generator)
    shift = 2 * MAX_SHIFT * (2 * torch.rand(count, 2, generator=generator) - 1)
    cosine, sine = turn.cos() * scale, turn.sin() * scale
    rows = torch.stack((torch.stack((cosine * mirror, -sine), 1), torch.stack((sine * mirror, cosine), 1)), 1)
    centre = -(rows @ shift[:, :, None])  # so that the view's point `shift` shows the image's centre
    return torch.cat((rows, centre), dim=2)


def _move(images: Tensor, motions: Tensor, side: int) -> Tensor:
    motions = motions.to(images.dtype) * (side / images.shape[-1])  # -1..1 is the whole image, margins and all
    grid = torch.nn.functional.affine_grid(motions, [*images.shape[:2], side, side], align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _restain(images: Tensor, generator: torch.Generator) -> Tensor:
    """Scale each stain's amount, and the light, per image."""
    count = len(images)
    amounts = 1 + STAIN_STRENGTH * (2 * torch.rand(count, 3, generator=generator) - 1)
    light = 1 + BRIGHTNESS * (2 * torch.rand(count, generator=generator) - 1)
    stains = _STAINS / _STAINS.norm(dim=1, keepdim=True)
    mixes = torch.linalg.inv(stains) @ (amounts[:, :, None] * stains)  # (n, 3, 3), density to density
    density = -((255 * images + 1) / 256).log()  # finite for black, and undone below without loss
    stained = torch.einsum("nchw,ncd->ndhw", density, send(mixes.to(images.dtype), images.device))
    restained = (256 * (-stained).exp() - 1) / 255
    return (restained * send(light.to(images.dtype), images.device)[:, None, None, None]).clamp(0, 1)
