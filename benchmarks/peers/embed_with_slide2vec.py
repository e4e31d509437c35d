"""Embeds a folder of crops by slide2vec's `embed_images`, the network registered as its documentation says."""

from __future__ import annotations

import numpy as np
import slide2vec.runtime.image_stage  # noqa: F401 - imported before the clock starts
import torch
from extraction_task import LENGTH, MEAN, SIDE, STD, Task
from slide2vec import ExecutionOptions, ImageSpec, Model, TorchTileEncoder, register_encoder


def main() -> None:
    task = Task.given()
    network = task.network()

    @register_encoder(
        "vit-small", encode_dim=LENGTH, input_size=SIDE, supports_variable_input_size=False,
        supported_spacing_um=None, default_spacing_um=0.25, precision="fp32",
    )  # fmt: skip
    class VitSmall(TorchTileEncoder):
        def __init__(self, *, output_variant: str | None = None) -> None:
            super().__init__(
                network, encode_dim=LENGTH, input_size=SIDE, mean=MEAN, std=STD, output_variant=output_variant
            )

    images = [ImageSpec(sample_id=path.stem, image_path=path) for path in task.files()]
    execution = ExecutionOptions(
        output_dir=task.folder / "embeddings", batch_size=task.batch_size, num_gpus=1, precision="fp32"
    )
    found = []

    def embed() -> None:
        found.extend(Model.from_preset("vit-small", device="cpu").embed_images(images, execution=execution))

    def read() -> np.ndarray:
        return np.stack([torch.load(artifact.path).numpy() for artifact in found])

    task.measure(embed, read, "slide2vec")


if __name__ == "__main__":
    main()
