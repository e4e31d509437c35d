"""The three named geometries, on the demo's slides, against OpenSlide's own pixels and torchvision's own transform."""

from __future__ import annotations

import dataclasses

import numpy as np
import openslide
import pytest
from PIL import Image
from torchvision import transforms

from mitozoo.embeddings.reading import View, read_ahead
from mitozoo.engine.request import Request
from mitozoo.engine.seen import see
from mitozoo.engine.subject import RegisteredModel
from mitozoo.errors import ModelError
from mitozoo.plugins.registry import load_registry
from mitozoo.protocols.presets import find_protocol
from mitozoo.protocols.spec import override

CELLS = 40


def seen_by(geometry, mpp=0.5):
    """Return a plan, its patches and the model for a network trained at `mpp` on 256 px tiles, cropped to 224."""
    found = load_registry().model("efficientnet-lite0")
    basis = "none" if mpp is None else "stated"
    preprocessing = dataclasses.replace(found.spec.preprocessing, mpp=mpp, mpp_basis=basis)
    model = RegisteredModel(
        dataclasses.replace(found, spec=dataclasses.replace(found.spec, preprocessing=preprocessing))
    )
    protocol = override(find_protocol("linear-probe"), {"geometry": geometry})
    request = Request(model=model.name, dataset="demo", limit=CELLS, settings={"geometry": geometry})
    plan = see(request, model, protocol).plan
    [[(patches, _)]] = read_ahead([(np.arange(len(plan)), [View(plan, preprocessing)])])
    return plan, patches


def inside(plan):
    rows = np.flatnonzero(~plan.beyond_border)
    assert rows.size
    return rows[:8]


def region(plan, row, side):
    """Return the square around a cell as OpenSlide reads it at full resolution."""
    corner = (int(np.floor(plan.x[row] - side / 2 + 0.5)), int(np.floor(plan.y[row] - side / 2 + 0.5)))
    with openslide.OpenSlide(plan.file(row)) as slide:
        return slide.read_region(corner, 0, (side, side)).convert("RGB")


def test_authors_geometry_is_the_authors_transform_of_a_tile_at_their_resolution():
    plan, patches = seen_by("authors")
    assert set(plan.side_px) == {512}  # 256 px at 0.5 um/px, on slides of 0.25
    authors = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    for row in range(len(plan)):
        tile = plan.read(row)
        assert tile.shape == (256, 256, 3)  # of the half-size level; how levels are read is tested with the slides
        assert np.array_equal(patches[row], np.asarray(authors(Image.fromarray(tile))))


def test_model_native_geometry_shows_the_network_its_training_resolution():
    plan, patches = seen_by("model-native")
    assert set(plan.side_px) == {448}  # 224 px at 0.5 um/px
    assert patches.shape[1:] == (224, 224, 3)


def test_the_protocols_own_window_is_the_default():
    plan, patches = seen_by("window")
    assert set(plan.side_px) == {224}  # 56 um at 0.25 um/px: not one pixel is resampled
    for row in inside(plan):
        assert np.array_equal(patches[row], np.asarray(region(plan, row, 224)))


def test_each_geometry_has_embeddings_of_its_own():
    keys = {geometry: seen_by(geometry)[0].row_keys().tobytes() for geometry in ("window", "model-native", "authors")}
    assert len(set(keys.values())) == 3


def test_a_model_without_a_resolution_cannot_go_by_it():
    with pytest.raises(ModelError, match="states no microns per pixel"):
        seen_by("model-native", mpp=None)
