"""Each distinct preprocessing of all models, on real tissue, against the authors' rule as torchvision does it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from encoders_in_repo import specs_of
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from mitozoo.models import batched_preprocessing as batched
from mitozoo.models import preprocessing as single
from mitozoo.models.encoder import load_encoder
from mitozoo.models.preprocessing import normalise, tile_px

if TYPE_CHECKING:
    from mitozoo.plugins.preprocessing import Preprocessing

TABLES = tomllib.loads((Path(__file__).parents[1] / "reference_models.toml").read_text("utf-8"))
SPECS = {name: spec for name, spec in specs_of().items() if not spec.controls_only}
RULE = ("size", "resize", "resize_to", "interpolation", "mean", "std")
#: Of 255, for any pixel. Antialiased bicubic without uint8 between resize and normalisation was measured 5 off.
ALLOWED = {"bilinear": 1, "bicubic": 2}
ALLOWED_MEAN = 0.2


def stated_rule(name: str) -> dict[str, Any]:
    """Return the authors' rule as the reviewed table states it; what no source states is as the spec declares it.

    Where sources conflict, the spec's choice stands if one of them makes it.
    """
    table, declared, rule = TABLES.get(name, {}), SPECS[name].preprocessing, {}
    for field in RULE:
        stated, own = table.get(field, {}), getattr(declared, field)
        values = [stated["value"], *stated.get("alternatives", ())] if stated else [own]
        rule[field] = next((value for value in values if same(value, own)), values[0])
    return rule


def same(value: Any, own: Any) -> bool:
    return bool(np.allclose(value, own, atol=1e-6)) if isinstance(value, list) else value == own


def distinct() -> dict[str, Preprocessing]:
    """Return each preprocessing once, under the name of the model of whose rule most is stated."""
    shared: dict[Preprocessing, list[str]] = {}
    for name, spec in SPECS.items():
        shared.setdefault(spec.preprocessing, []).append(name)
    best = (max(names, key=lambda name: len(TABLES.get(name, {}).keys() & set(RULE))) for names in shared.values())
    return {name: SPECS[name].preprocessing for name in best}


DISTINCT = distinct()


def authors_own(rule: dict[str, Any]) -> transforms.Compose:
    """The authors' documented transform."""
    mode, side = InterpolationMode(rule["interpolation"]), rule["resize_to"]
    resize = {"short-side": [transforms.Resize(side, mode)], "square": [transforms.Resize((side, side), mode)]}
    return transforms.Compose(
        [*resize.get(rule["resize"], []), transforms.CenterCrop(rule["size"]), transforms.ToTensor(),
         transforms.Normalize(rule["mean"], rule["std"])]
    )  # fmt: skip


@pytest.fixture(scope="module")
def crops(shared_data) -> list[Image.Image]:
    """Return whole released crops of two folders, 128 px."""
    folders = [shared_data / "ami-br" / "AMi-Br" / kind for kind in ("Atypical", "Normal")]
    images = [Image.open(path).convert("RGB") for folder in folders for path in sorted(folder.glob("*.png"))[:8]]
    assert {image.size for image in images} == {(128, 128)}
    return images


@pytest.fixture(scope="module")
def field(shared_data) -> Image.Image:
    return Image.open(min((shared_data / "brecahad").rglob("*.jpg"))).convert("RGB")


def tiles(field: Image.Image, crops: list[Image.Image], preprocessing: Preprocessing) -> list[Image.Image]:
    """Return tiles of the authors' own side, and, unless they only crop, windows that are resized to it."""
    side = tile_px(preprocessing)
    cut = [
        field.crop((left, 100, left + px, 100 + px)) for left, px in ((80, side), (400, side), (200, 301), (150, 600))
    ]
    return cut[:2] if preprocessing.resize == "none" else [*cut, *crops[:2]]


@pytest.mark.shared
@pytest.mark.parametrize("name", sorted(DISTINCT))
def test_real_tissue_reaches_the_network_as_by_the_authors_transform(name, field, crops):
    preprocessing, reference = DISTINCT[name], authors_own(stated_rule(name))
    std = torch.tensor(preprocessing.std).view(3, 1, 1)
    for tile in tiles(field, crops, preprocessing):
        expected = reference(tile)
        window = np.asarray(tile)
        by_pil = torch.from_numpy(single.as_authors_see(window, preprocessing).copy())[None]
        in_a_batch = batched.prepare([window], preprocessing, "cpu", authors=True)
        for pixels in (by_pil, in_a_batch):
            off = (normalise(pixels, preprocessing)[0] - expected).abs() * std * 255
            assert float(off.max()) <= ALLOWED[preprocessing.interpolation] + 1e-3
            assert float(off.mean()) < ALLOWED_MEAN


@pytest.mark.shared
def test_embeddings_are_the_same_by_either_path(crops):
    """Through a real network, with weights that were really trained."""
    encoder = load_encoder(SPECS["efficientnet-lite0"])
    preprocessing = encoder.spec.preprocessing
    windows = [np.asarray(image) for image in crops]
    by_pil = torch.from_numpy(np.stack([single.resample(window, preprocessing) for window in windows]))
    in_a_batch = batched.prepare(windows, preprocessing, "cpu", authors=False)
    with torch.inference_mode():
        one, other = (encoder(normalise(pixels, preprocessing)) for pixels in (by_pil, in_a_batch))
    assert float(torch.nn.functional.cosine_similarity(one, other).min()) > 0.9999
    assert float(torch.nn.functional.cosine_similarity(one[:1], one[1:]).max()) < 0.99  # they do tell crops apart
