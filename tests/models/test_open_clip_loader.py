"""open_clip models: the image tower alone, complete, with the activation that its architecture names."""

from __future__ import annotations

import itertools
import json
import logging
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from local_hub import COMMIT

from mitozoo.errors import ModelError
from mitozoo.models.loaders import build_network, load_network
from mitozoo.plugins.sources import OpenClipHub

open_clip = pytest.importorskip("open_clip")

TEXT = {"context_length": 8, "vocab_size": 16, "width": 16, "heads": 2, "layers": 1}
VISION = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
IMAGES = torch.linspace(-2, 2, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)


@pytest.fixture(scope="module", autouse=True)
def tiny_architectures(tmp_path_factory):
    """Register two tiny architectures the way open_clip lets anybody do."""
    folder = tmp_path_factory.mktemp("architectures")
    for name, quick in (("tiny-lab-clip", False), ("tiny-lab-clip-quickgelu", True)):
        design = {"embed_dim": 24, "quick_gelu": quick, "vision_cfg": VISION, "text_cfg": TEXT}
        (folder / f"{name}.json").write_text(json.dumps(design))
    open_clip.add_model_config(folder)


def published(name: str, **arguments) -> torch.nn.Module:
    torch.manual_seed(3)
    return open_clip.create_model(name, **arguments).eval()


@pytest.fixture
def publish(local_hub):
    count = itertools.count()

    def put(state, architecture="tiny-lab-clip", filename="open_clip_model.safetensors", **fields) -> OpenClipHub:
        repo = f"lab/net{next(count)}"
        sha256 = local_hub.put(repo, filename, safetensors.torch.save(state, {"format": "pt"}))
        given = {
            "architecture": architecture, "repo": repo, "revision": COMMIT, "filename": filename, "sha256": sha256,
            "kwargs": {},
        }  # fmt: skip
        return OpenClipHub(**given | fields)

    return put


@pytest.mark.parametrize("name", ["tiny-lab-clip", "tiny-lab-clip-quickgelu"])
def test_the_embedding_is_encode_image_without_l2(publish, name, caplog):
    model = published(name)
    source = publish(model.state_dict(), name)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        network, sha256 = load_network(source)
    torch.testing.assert_close(network.eval()(IMAGES), model.encode_image(IMAGES, normalize=False), rtol=0, atol=0)
    assert sha256 == source.sha256
    assert not [name for name, _ in network.named_parameters() if "text" in name]
    assert "randomly" not in caplog.text  # which open_clip says of every network that we fill


def test_quickgelu_is_part_of_the_architectures_name(publish):
    state = published("tiny-lab-clip-quickgelu").state_dict()
    right, _ = load_network(publish(state, "tiny-lab-clip-quickgelu"))
    wrong, _ = load_network(publish(state, "tiny-lab-clip"))
    forced, _ = load_network(publish(state, "tiny-lab-clip", kwargs={"force_quick_gelu": True}))
    assert not torch.allclose(right(IMAGES), wrong(IMAGES))
    torch.testing.assert_close(right(IMAGES), forced(IMAGES), rtol=0, atol=0)


def test_a_tower_that_open_clip_has_no_name_for(publish):
    """As BiomedCLIP: a timm trunk with a linear projection, beside a text tower that is kept elsewhere."""
    vision = {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160}
    model = published("tiny-lab-clip", vision_cfg=vision | {"timm_model_pretrained": False}, embed_dim=20)
    state = {key: value for key, value in model.state_dict().items() if key.startswith("visual.")}
    state |= {"text.transformer.embeddings.word_embeddings.weight": torch.zeros(3, 4), "logit_scale": torch.ones(1)}
    network, _ = load_network(publish(state, kwargs={"vision_cfg": vision, "embed_dim": 20}))
    images = torch.nn.functional.interpolate(IMAGES, size=160)
    torch.testing.assert_close(network.eval()(images), model.encode_image(images, normalize=False), rtol=0, atol=0)
    assert network(images).shape == (2, 20)


def test_no_weight_is_ever_made_up_or_left_over(publish):
    state = published("tiny-lab-clip").state_dict()
    with pytest.raises(ModelError, match=r"do not fit tiny-lab-clip \(missing: proj\)"):
        load_network(publish({key: value for key, value in state.items() if key != "visual.proj"}))
    with pytest.raises(ModelError, match=r"\(surplus: zzz\)"):
        load_network(publish(state | {"visual.zzz": torch.zeros(1)}))
    with pytest.raises(ModelError, match=r"\(surplus: zzz\)"):
        load_network(publish(state | {"zzz": torch.zeros(1)}))
    with pytest.raises(ModelError, match=r"\(of another shape: proj\)"):
        load_network(publish(state | {"visual.proj": torch.zeros(2, 2)}))
    with pytest.raises(ModelError, match=r"missing: .* more"):
        load_network(publish({"logit_scale": torch.ones(1)}))


def test_another_file_than_the_pinned_one_is_refused(publish):
    with pytest.raises(ModelError, match="refused"):
        load_network(publish(published("tiny-lab-clip").state_dict(), sha256="0" * 64))


def test_a_file_given_by_hand_must_be_the_pinned_one(publish, tmp_path):
    state = published("tiny-lab-clip").state_dict()
    source = publish(state)
    own = tmp_path / "own.safetensors"
    own.write_bytes(safetensors.torch.save(state, {"format": "pt"}))
    network, sha256 = load_network(source, file=own)
    assert sha256 == source.sha256
    own.write_bytes(safetensors.torch.save(state | {"visual.proj": state["visual.proj"] + 1}, {"format": "pt"}))
    with pytest.raises(ModelError, match="the model declares") as caught:
        load_network(source, file=own)
    assert "Weights of your own are another model" in caught.value.hint
    tuned, sha256 = load_network(replace(source, sha256=None), file=own)
    assert sha256 != source.sha256
    torch.testing.assert_close(tuned.proj, network.proj + 1)


@pytest.mark.parametrize("name", ["no-such-clip", "hf-hub:lab/net", "local-dir:/tmp"])
def test_only_open_clips_own_architectures_are_built(publish, name, local_hub):
    source = replace(publish(published("tiny-lab-clip").state_dict()), architecture=name)
    with pytest.raises(ModelError, match=f"open_clip [0-9.]+ has no architecture '{name}'") as caught:
        build_network(source)
    assert "upgrade" in caught.value.hint
    assert not local_hub.requests


def test_a_wrong_argument_is_told(publish):
    with pytest.raises(ModelError, match=r"open_clip cannot build tiny-lab-clip .*wings"):
        build_network(publish({"logit_scale": torch.ones(1)}, kwargs={"wings": 2}))


def test_the_untrained_tower_is_the_same_for_the_same_seed(publish):
    source = publish({"logit_scale": torch.ones(1)})
    before = torch.get_rng_state()
    first, again, other = (build_network(source, seed=seed).proj for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
