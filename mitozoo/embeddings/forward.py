"""From what was read to embeddings: onto the device, resampled there where that is better, through the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from mitozoo.embeddings.reading import Patches, View, Windows
    from mitozoo.models.encoder import Encoder
    from mitozoo.plugins.specs import Preprocessing


def resamples(device: str, preprocessing: Preprocessing) -> bool:
    """Tell whether a device is better at resampling than the CPU's threads; the pixels are the same either way."""
    from mitozoo.models.batched_preprocessing import works_for

    return device != "cpu" and works_for(preprocessing)


def bring(patches: Patches | Windows, view: View, device: str) -> torch.Tensor:
    """Bring what a view holds to a device, as uint8 (n, size, size, 3)."""
    if isinstance(patches, list):
        from mitozoo.models.batched_preprocessing import prepare

        return prepare(patches, view.preprocessing, device, authors=view.plan.geometry.authors)
    import torch

    return torch.from_numpy(patches).to(device, non_blocking=True)


def run_network(encoder: Encoder, patches: torch.Tensor, precision: str, device: str) -> npt.NDArray[np.float32]:
    """Embed uint8 (n, size, size, 3) that lie on the device."""
    return encoder.embed(patches, precision, device)
