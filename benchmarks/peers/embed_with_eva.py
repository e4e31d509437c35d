"""Embeds a folder of crops as `eva predict` does: its trainer, loader and transform, and its writer of embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from eva.core.callbacks import ClassificationEmbeddingsWriter
from eva.core.data.dataloaders import DataLoader
from eva.core.data.datamodules import DataModule
from eva.core.data.datamodules.schemas import DataloadersSchema, DatasetsSchema
from eva.core.interface import Interface
from eva.core.models.modules import InferenceModule
from eva.core.trainers import Trainer
from eva.vision.data.datasets import VisionDataset
from eva.vision.data.transforms.common import ResizeAndCrop
from eva.vision.utils import io
from extraction_task import MEAN, SIDE, STD, Task

if TYPE_CHECKING:
    from pathlib import Path


class Crops(VisionDataset):
    """PNG files, read by its own reader, in the form that its documentation asks of a new dataset."""

    def __init__(self, folder: Path) -> None:
        resize_and_crop = ResizeAndCrop(size=SIDE, mean=MEAN, std=STD)  # of a crop of this side it leaves every pixel
        super().__init__(transforms=lambda image, target: (resize_and_crop(image), target))
        self.folder = folder
        self.names: list[str] = []

    def configure(self) -> None:
        """List the files; its data module asks for it once prediction starts."""
        self.names = sorted(path.name for path in self.folder.glob("*.png"))

    def load_data(self, index: int) -> torch.Tensor:
        """Return a crop, uint8 (3, SIDE, SIDE)."""
        return io.read_image_as_tensor(str(self.folder / self.names[index]))

    def load_target(self, index: int) -> torch.Tensor:  # noqa: ARG002
        """Return a class, which plays no part here."""
        return torch.tensor(0, dtype=torch.float32)

    def filename(self, index: int) -> str:
        """Return the name that the embedding's file is given."""
        return self.names[index]

    def __len__(self) -> int:
        return len(self.names)


def main() -> None:
    task = Task.given()
    network = task.network()
    embeddings = task.folder / "embeddings"

    def embed() -> None:
        module = DataModule(
            datasets=DatasetsSchema(predict=[Crops(task.crops)]),
            dataloaders=DataloadersSchema(predict=DataLoader(batch_size=task.batch_size, num_workers=task.cores)),
        )
        trainer = Trainer(
            accelerator="cpu", callbacks=[ClassificationEmbeddingsWriter(output_dir=str(embeddings))], logger=False,
            default_root_dir=str(task.folder / "logs"),
        )  # fmt: skip
        Interface().predict(trainer, InferenceModule(network), module)

    def read() -> np.ndarray:
        return np.stack([torch.load(embeddings / f"{path.stem}.pt")[0].numpy() for path in task.files()])

    task.measure(embed, read, "kaiko-eva")


if __name__ == "__main__":
    main()
