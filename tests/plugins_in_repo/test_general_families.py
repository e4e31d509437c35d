"""General, vision-language and older encoders: what each declares is what its built network has."""

from __future__ import annotations

import json
import math

import pytest
import torch
from encoders_in_repo import check_declared, laid_out, linear_layers, specs_of

from mitozoo import OpenClipHub, TimmHub, TransformersHub
from mitozoo.errors import MitozooError
from mitozoo.models.encoder import Encoder
from mitozoo.models.loaders import build_network

SPECS = specs_of(
    "biomedclip", "ciga_simclr", "clip", "conch", "ctranspath", "dinov2", "dinov3", "exaonepath", "hipt_vit256",
    "imagenet", "keep", "mae", "musk", "pathodino", "pathoduet", "plip", "quiltnet", "retccl", "waiv",
)  # fmt: skip
#: They need what is not here: the authors' own package, or the repository's own code.
ELSEWHERE = {"musk", "musk-single-scale", "phaet", "mascaret"}
#: It fetches a tile before it is built.
WITH_TILE = {"exaonepath"}
BUILT_HERE = sorted(SPECS.keys() - ELSEWHERE - WITH_TILE)


def test_every_model_that_was_asked_for_is_there():
    asked = """ctranspath chief conch conch-v1-5 musk musk-single-scale plip quiltnet-b-32 quiltnet-b-16
        quiltnet-b-16-pmb biomedclip clip-vit-b-32 clip-vit-b-16 clip-vit-l-14 keep exaonepath retccl ciga-simclr
        hipt-vit256 pathodino pathoduet phaet mascaret dinov2-vits14 dinov2-vitb14 dinov2-vitl14 dinov2-vitg14
        dinov3-vits16 dinov3-vitb16 dinov3-vitl16 dinov3-vith16plus dinov3-vit7b16 dinov3-vits16-mean dinov3-vitb16-mean
        dinov3-vitl16-mean dinov3-vith16plus-mean dinov3-vit7b16-mean mae-vitb16 mae-vitl16 mae-vith14
        efficientnet-lite0 resnet50 resnet50-a1 vit-s-16-in21k vit-l-16-in21k vit-h-14-in21k swin-b-in22k
        convnext-b-in22k efficientnet-b0 densenet-121"""
    assert sorted(SPECS) == sorted(asked.split())


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Put PLIP's configuration where no hub is asked; but for what stands here it is what transformers takes anyway."""
    folder = tmp_path / "vinid" / "plip"
    folder.mkdir(parents=True)
    stated = {"architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": 512}
    (folder / "config.json").write_text(json.dumps(stated), encoding="utf-8")
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(tmp_path))


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("name", BUILT_HERE)
def test_the_built_network_is_as_declared(name):
    spec = SPECS[name]
    network = laid_out(spec.load)
    check_declared(spec, network)
    if not isinstance(spec.load, OpenClipHub | TransformersHub):  # CLIP's towers do not show their tokens
        assert getattr(network, "num_prefix_tokens", 0) == spec.prefix_tokens


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("name", [name for name in BUILT_HERE if SPECS[name].lora_targets])
def test_adapters_find_layers_of_blocks_and_nowhere_else(name):
    linear = linear_layers(SPECS[name].load)
    for target in SPECS[name].lora_targets:
        hit = [key for key in linear if key.endswith(target)]
        assert len(hit) >= 5  # PathDino's five blocks are the fewest
        assert all("blocks." in key or "encoder.layers." in key for key in hit)


TIMMS_OWN = sorted(
    name for name, spec in SPECS.items() if isinstance(spec.load, TimmHub) and spec.load.repo.startswith("timm/")
)
#: What these specs say otherwise than timm's configuration, and why.
OTHERWISE = {
    "resnet50": {"size", "crop"},  # torchvision's own transform; timm states the side of training, 176
    "densenet-121": {"interpolation"},  # torchvision's own transform
} | {name: {"size", "crop"} for name in SPECS if name.startswith("dinov2-")}  # 224 px, not 518


@pytest.mark.parametrize("name", TIMMS_OWN)
def test_preprocessing_is_that_of_timms_own_configuration(name):
    import timm

    stated, source = SPECS[name].preprocessing, SPECS[name].load
    config = timm.get_pretrained_cfg(source.repo.removeprefix("timm/")).to_dict()
    size = config["input_size"][-1]
    differing = {
        "size": stated.size != size,
        "crop": stated.resize_to != math.floor(size / config["crop_pct"]),
        "interpolation": stated.interpolation != config["interpolation"],
        "mean": stated.mean != tuple(config["mean"]),
        "std": stated.std != tuple(config["std"]),
    }
    assert {field for field, differs in differing.items() if differs} == OTHERWISE.get(name, set())
    assert config["crop_mode"] == "center"
    assert stated.resize == "short-side"


def test_densenet_is_preprocessed_as_by_torchvision():
    from torchvision.models import DenseNet121_Weights

    own, stated = DenseNet121_Weights.IMAGENET1K_V1.transforms(), SPECS["densenet-121"].preprocessing
    assert (own.resize_size, own.crop_size) == ([stated.resize_to], [stated.size])
    assert own.interpolation.value == stated.interpolation
    assert (tuple(own.mean), tuple(own.std)) == (stated.mean, stated.std)


def test_the_mean_of_dinov3_is_timms_own_output():
    spec = SPECS["dinov3-vits16-mean"]
    network = build_network(spec.load, seed=1).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(Encoder(spec, network, "")(images), network(images))
        assert not torch.allclose(Encoder(SPECS["dinov3-vits16"], network, "")(images), network(images), atol=1e-2)


@pytest.mark.parametrize("name", sorted(name for name in SPECS if name.startswith("clip-")))
def test_openais_weights_run_quick_gelu(name):
    names = {type(module).__name__ for module in laid_out(SPECS[name].load).modules()}
    assert "QuickGELU" in names
    assert "GELU" not in names


def test_musk_without_its_package_says_what_to_install():
    with pytest.raises(MitozooError, match="needs the authors' package") as raised:
        build_network(SPECS["musk"].load)
    assert "pip install 'musk @ git+https://github.com/lilab-stanford/MUSK@" in str(raised.value.hint)


def test_waivs_code_does_not_run_unasked(monkeypatch):
    monkeypatch.delenv("MITOZOO_TRUST_REMOTE_CODE", raising=False)
    for name in ("phaet", "mascaret"):
        assert SPECS[name].load.revision
        with pytest.raises(MitozooError, match="works only with Python code of its own"):
            build_network(SPECS[name].load)
