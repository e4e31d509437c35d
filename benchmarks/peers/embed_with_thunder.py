"""Embeds a folder of crops by THUNDER's `pre_computing_patch_embeddings`, with a model and a data set of one's own."""

from __future__ import annotations

import json

import h5py
import numpy as np
import torch
from extraction_task import MEAN, STD, Task
from omegaconf import OmegaConf
from thunder.tasks.pre_computing_patch_embeddings import pre_computing_patch_embeddings
from torchvision.transforms import Compose, Normalize, ToTensor


class VitSmall(torch.nn.Module):
    """The network in the form that its documentation asks of a model of one's own."""

    name, vlm = "vit-small", False

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed normalised crops."""
        return self.network(images)

    def get_transform(self) -> Compose:
        """Return what makes a crop the network's input."""
        return Compose([ToTensor(), Normalize(MEAN, STD)])

    @staticmethod
    def get_embeddings(images: torch.Tensor, model: torch.nn.Module, task_type: str) -> torch.Tensor:  # noqa: ARG004
        """Embed a batch for any task."""
        return model(images)


def main() -> None:
    task = Task.given()
    model = VitSmall(task.network())
    names = [str(path) for path in task.files()]
    nothing = {"images": [], "labels": []}
    splits = {"train": {"images": names, "labels": [0] * len(names)}, "val": nothing, "test": nothing}
    listed = task.folder / "splits.json"
    listed.write_text(json.dumps(splits), encoding="utf-8")
    config = OmegaConf.create(
        {"dataset": {"data_splits": str(listed)}, "task": {"pre_comp_emb_batch_size": task.batch_size}}
    )
    embeddings = task.folder / "embeddings" / "crops" / model.name

    def embed() -> None:
        pre_computing_patch_embeddings(
            config, str(embeddings), device="cpu", dataset_name="crops", base_data_folder=None,
            data_compatible_tasks=["pre_computing_embeddings", "linear_probing"], adaptation_type="frozen",
            base_embeddings_folder=str(task.folder / "embeddings"), model_name=model.name, image_pre_loading=False,
            embedding_pre_loading=False, model_cls=model,
        )  # fmt: skip

    def read() -> np.ndarray:
        with h5py.File(embeddings / "train" / "embeddings.h5") as file:
            return np.stack([file[str(row)][()] for row in range(len(names))])

    task.measure(embed, read, "thunder-bench")


if __name__ == "__main__":
    main()
