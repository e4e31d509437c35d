"""From what was read to embeddings: to the device, resampled there where that is better, through the network, back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt
    import torch

    from mitozoo.embeddings.reading import Patches, View, Windows
    from mitozoo.models.encoder import Encoder
    from mitozoo.plugins.preprocessing import Preprocessing

    Waiting = Callable[[], npt.NDArray[np.float32]]


def resamples(device: str, preprocessing: Preprocessing) -> bool:
    """Tell whether a device is better at resampling than the CPU's threads; the pixels are the same either way."""
    from mitozoo.models.batched_preprocessing import works_for

    return device != "cpu" and works_for(preprocessing)


def bring(patches: Patches | Windows, view: View, device: str) -> torch.Tensor:
    """Bring what a view holds to a device, as uint8 (n, size, size, 3), without waiting for a GPU."""
    if isinstance(patches, list):
        from mitozoo.models.batched_preprocessing import prepare

        return prepare(patches, view.preprocessing, device, authors=view.plan.geometry.authors)
    import torch

    from mitozoo.models.devices import send

    return send(torch.from_numpy(patches), device)


def run_network(encoder: Encoder, patches: torch.Tensor, precision: str, device: str) -> Waiting:
    """Start embedding uint8 (n, size, size, 3) that lie on the device; return what waits for float32 (n, embed_dim).

    A GPU copies the embeddings out by itself, once it has them.
    """
    import torch

    vectors = encoder.launch(patches, precision, device)
    if vectors.device.type != "cuda":
        return lambda: vectors.cpu().numpy()
    copied = vectors.to("cpu", non_blocking=True)  # into pinned memory
    there = torch.cuda.Event()  # type: ignore[no-untyped-call]
    there.record(torch.cuda.current_stream(vectors.device))

    def wait() -> npt.NDArray[np.float32]:
        there.synchronize()
        return copied.numpy()

    return wait
