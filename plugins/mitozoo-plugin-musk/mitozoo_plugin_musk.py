"""MUSK: the image tower of a BEiT-3 vision-language model, whose network lives in the authors' own package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo import Checkpoint, MitozooError, ModelSpec, Preprocessing, hookimpl

if TYPE_CHECKING:
    import torch

PACKAGE = "musk @ git+https://github.com/lilab-stanford/MUSK@714b666969c1911e5efe70d991140a21030f4ef3"


def build_musk(*, multiscale: bool) -> torch.nn.Module:
    """Return MUSK's image embedding, untrained: the README's `with_head=False, out_norm=False`.

    Args:
        multiscale: `ms_aug`: the mean of the embeddings of the image's four quarters, each enlarged to the input size,
            is appended to that of the whole image: 2048 values instead of 1024.
    """
    import importlib

    try:
        importlib.import_module("musk.modeling")  # registers the architecture with timm
    except ImportError as error:
        raise MitozooError(f"MUSK needs the authors' package: {error}", hint=f"Try: pip install '{PACKAGE}'") from error
    import timm
    from torch import nn

    class ImageTower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = timm.create_model("musk_large_patch16_384", vocab_size=64010)
            self.num_prefix_tokens = 1

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            options = {"with_head": False, "out_norm": False, "ms_aug": multiscale, "return_global": True}
            return self.model(image=images, **options)[0]

    return ImageTower()


def musk_spec(name: str, title: str, embed_dim: int, *, multiscale: bool) -> ModelSpec:
    """Return one of the two embeddings of the same weights."""
    return ModelSpec(
        name=name,
        title=title,
        load=Checkpoint(
            architecture=build_musk, kwargs={"multiscale": multiscale},
            repo="xiangjx/musk", revision="de1ffed28608c197d2903f6fa42b491a3fbf0fb8",
            filename="model.safetensors", url="",
            sha256="83d9f2429ec3f04fc3bdc4bc6d8e6c78035ea196fdce9fe05d76ea0e8cad0375",
            entry="", strip_prefix="", rename={r"^": "model."}, drop=(r"relative_position_index$",),
        ),
        preprocessing=Preprocessing(
            size=384, resize="short-side", resize_to=384, interpolation="bicubic", antialias=True,
            mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), mpp=0.5, mpp_basis="convention",  # trained on 10x, 20x and 40x
        ),
        embed_dim=embed_dim, pooling="network", prefix_tokens=1, precision="fp16",
        license="CC-BY-NC-ND-4.0", gated=True,
        reference="https://doi.org/10.1038/s41586-024-08378-w",
        pretraining=("tcga", "quilt-1m", "pathcap"),
        lora_targets=("q_proj.A", "k_proj.A", "v_proj.A", "out_proj.A"),
        requires=(PACKAGE,),
        side_effects="imports the authors' package, which registers its architecture with timm",
        unverified=("pretraining", "lora_targets"),
    )  # fmt: skip


# Most tables of other tools give the 1024 values without saying so; the README's recipe for probing gives 2048.
MUSK = musk_spec("musk", "MUSK, BEiT-3 large, whole image and quarters (ms_aug)", 2048, multiscale=True)
MUSK_SINGLE_SCALE = musk_spec("musk-single-scale", "MUSK, BEiT-3 large, whole image", 1024, multiscale=False)


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer both embeddings."""
    return [MUSK, MUSK_SINGLE_SCALE]
