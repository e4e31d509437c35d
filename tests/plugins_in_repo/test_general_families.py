"""General, vision-language and older encoders: what each declares is what its built network has."""

from __future__ import annotations

import functools
import importlib
import json
import math
import subprocess
import sys

import pytest
import torch

from mitozoo import OpenClipHub, TimmHub, TransformersHub
from mitozoo.errors import MitozooError
from mitozoo.models.encoder import Encoder
from mitozoo.models.loaders import build_network

FAMILIES = (
    "biomedclip", "ciga_simclr", "clip", "conch", "ctranspath", "dinov2", "dinov3", "exaonepath", "hipt_vit256",
    "imagenet", "keep", "mae", "musk", "pathodino", "pathoduet", "plip", "quiltnet", "retccl", "waiv",
)  # fmt: skip
MODULES = tuple(f"mitozoo_plugin_{family}" for family in FAMILIES)
SPECS = {spec.name: spec for module in MODULES for spec in importlib.import_module(module).mitozoo_models()}
#: They need what is not here: the authors' own package, or the repository's own code.
ELSEWHERE = {"musk", "musk-single-scale", "phaet", "mascaret"}
#: It fetches a tile before it is built.
WITH_TILE = {"exaonepath"}
BUILT_HERE = sorted(SPECS.keys() - ELSEWHERE - WITH_TILE)


def test_every_model_that_was_asked_for_is_there():
    asked = """ctranspath chief conch conch-v1-5 musk musk-single-scale plip quiltnet-b-32 quiltnet-b-16
        quiltnet-b-16-pmb biomedclip clip-vit-b-32 clip-vit-b-16 clip-vit-l-14 keep exaonepath retccl ciga-simclr
        hipt-vit256 pathodino pathoduet phaet mascaret dinov2-vits14 dinov2-vitb14 dinov2-vitl14 dinov2-vitg14
        dinov3-vits16 dinov3-vitb16 dinov3-vitl16 dinov3-vith16plus dinov3-vits16-mean dinov3-vitb16-mean
        dinov3-vitl16-mean dinov3-vith16plus-mean mae-vitb16 mae-vitl16 mae-vith14 efficientnet-lite0 resnet50
        resnet50-a1 vit-s-16-in21k vit-l-16-in21k vit-h-14-in21k swin-b-in22k convnext-b-in22k efficientnet-b0
        densenet-121"""
    assert sorted(SPECS) == sorted(asked.split())


@functools.cache
def laid_out(source) -> torch.nn.Module:
    """Build on the meta device; two poolings of one network share it."""
    with torch.device("meta"):
        return build_network(source).eval()


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
    network, side = laid_out(spec.load), spec.preprocessing.size
    assert sum(parameter.numel() for parameter in network.parameters()) == spec.parameters
    if not isinstance(spec.load, OpenClipHub | TransformersHub):  # CLIP's towers do not show their tokens
        assert getattr(network, "num_prefix_tokens", 0) == spec.prefix_tokens
    with torch.no_grad(), torch.device("meta"):
        assert Encoder(spec, network, "")(torch.zeros(2, 3, side, side)).shape == (2, spec.embed_dim)


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("name", [name for name in BUILT_HERE if SPECS[name].lora_targets])
def test_adapters_find_layers_of_blocks_and_nowhere_else(name):
    network, targets = laid_out(SPECS[name].load), SPECS[name].lora_targets
    linear = [key for key, module in network.named_modules() if isinstance(module, torch.nn.Linear)]
    for target in targets:
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


MEASURE = """
import json, sys, time
for heavy in ("torch", "timm", "transformers", "open_clip", "torchvision", "numpy", "pandas", "huggingface_hub"):
    sys.modules[heavy] = None  # whoever imports it fails
import mitozoo
for name in mitozoo.__all__:  # what every plugin imports, and none of them pays for
    name == "evaluate" or getattr(mitozoo, name)
modules, spent = json.loads(sys.argv[1]), []
for _ in range(5):
    start = time.process_time()
    count = sum(len(__import__(module).mitozoo_models()) for module in modules)
    spent.append(time.process_time() - start)
    for module in modules:
        del sys.modules[module]
print(json.dumps([count, min(spent)]))
"""


def test_importing_all_needs_no_heavy_library_and_no_time():
    process = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(MODULES)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    count, seconds = json.loads(process.stdout)
    assert count == len(SPECS)
    assert seconds < 0.05
